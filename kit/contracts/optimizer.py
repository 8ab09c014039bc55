"""Contract tests of optimizers."""

from __future__ import annotations

from kit.kinds import Optimizer


def law_it_goes_downhill(optimizer: Optimizer) -> None:
    """A hundred steps lower the value of a quadratic."""
    import torch

    weight = torch.nn.Parameter(torch.ones(4, 3))
    built = optimizer.build([("weight", weight)])
    for _ in range(100):
        built.zero_grad()
        weight.square().sum().backward()
        built.step()
    value = float(weight.detach().square().sum())
    assert value < 12, f"12 at the start, {value} after"


def law_frozen_weights_stay(optimizer: Optimizer) -> None:
    """Frozen weights are in no group. Biases and norm scales do not decay."""
    import torch

    layer = torch.nn.Linear(3, 2)
    frozen = torch.nn.Parameter(torch.ones(2, 2), requires_grad=False)
    built = optimizer.build([*layer.named_parameters(), ("frozen", frozen)])
    groups = built.param_groups
    members = [id(weight) for group in groups for weight in group["params"]]
    assert id(frozen) not in members, "a frozen weight is in a group"
    decays = [
        group["weight_decay"] for group in groups if any(weight is layer.bias for weight in group["params"])
    ]
    assert decays == [0.0], f"the bias decays by {decays}"


def law_it_continues_from_its_state(optimizer: Optimizer) -> None:
    """Steps after its state is saved and loaded give the same weights and averages, bit for bit."""
    import torch

    def begin(value: torch.Tensor) -> tuple[torch.nn.Parameter, torch.optim.Optimizer]:
        weight = torch.nn.Parameter(value.clone())
        return weight, optimizer.build([("weight", weight)])

    def run(weight: torch.nn.Parameter, built: torch.optim.Optimizer, first: int, last: int) -> None:
        for step in range(first, last):
            built.zero_grad()
            (weight - step).square().sum().backward()
            built.step()

    whole, one = begin(torch.linspace(-1, 1, 12).reshape(4, 3))
    run(whole, one, 0, 7)
    half, other = begin(torch.linspace(-1, 1, 12).reshape(4, 3))
    run(half, other, 0, 4)
    state = other.state_dict()
    rest, again = begin(half.detach())
    again.load_state_dict(state)
    run(rest, again, 4, 7)
    assert torch.equal(whole, rest), f"apart by {float((whole - rest).abs().max()):.2g} after seven steps"
    if optimizer.averages_weights():
        averages = [torch.zeros(4, 3), torch.zeros(4, 3)]
        for built, weight, average in zip((one, again), (whole, rest), averages, strict=True):
            built.write_average([weight], [average])  # type: ignore[attr-defined]
        assert torch.equal(*averages), "the averages are apart"


def law_it_averages_if_it_says_so(optimizer: Optimizer) -> None:
    """`averages_weights` is true if and only if its torch optimizer has `write_average`."""
    import torch

    built = optimizer.build([("weight", torch.nn.Parameter(torch.ones(2, 2)))])
    has = hasattr(built, "write_average")
    assert has == optimizer.averages_weights(), f"write_average: {has}; it says {not has}"


def law_its_state_is_as_large_as_it_says(optimizer: Optimizer) -> None:
    """After a step each weight has `state_tensors` tensors of its size. 0 promises nothing."""
    import torch

    weight = torch.nn.Parameter(torch.ones(40, 30))
    built = optimizer.build([("weight", weight)])
    weight.square().sum().backward()
    built.step()
    values = [value for value in built.state[weight].values() if isinstance(value, torch.Tensor)]
    stored = sum(value.numel() for value in values if value.numel() > 1) / weight.numel()
    promised = optimizer.state_tensors
    assert promised in (0, stored), f"it says {promised} tensors a weight, and keeps {stored:g}"
