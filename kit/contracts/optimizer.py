"""The laws of optimizers."""

from __future__ import annotations

from kit.kinds import Optimizer


def law_it_goes_downhill(optimizer: Optimizer) -> None:
    """A hundred steps lower the value of a quadratic."""
    import torch

    weight = torch.nn.Parameter(torch.ones(4, 3))
    made = optimizer.build([("weight", weight)])
    for _ in range(100):
        made.zero_grad()
        weight.square().sum().backward()
        made.step()
    value = float(weight.detach().square().sum())
    assert value < 12, f"12 at the start, {value} after"


def law_frozen_weights_stay(optimizer: Optimizer) -> None:
    """Frozen weights are in no group. Biases and norm scales do not decay."""
    import torch

    layer = torch.nn.Linear(3, 2)
    frozen = torch.nn.Parameter(torch.ones(2, 2), requires_grad=False)
    made = optimizer.build([*layer.named_parameters(), ("frozen", frozen)])
    groups = made.param_groups
    members = [id(weight) for group in groups for weight in group["params"]]
    assert id(frozen) not in members, "a frozen weight is in a group"
    decays = [
        group["weight_decay"] for group in groups if any(weight is layer.bias for weight in group["params"])
    ]
    assert decays == [0.0], f"the bias decays by {decays}"


def law_its_state_is_as_large_as_it_says(optimizer: Optimizer) -> None:
    """After a step each weight has `state_tensors` tensors of its size. 0 promises nothing."""
    import torch

    weight = torch.nn.Parameter(torch.ones(40, 30))
    made = optimizer.build([("weight", weight)])
    weight.square().sum().backward()
    made.step()
    values = [value for value in made.state[weight].values() if isinstance(value, torch.Tensor)]
    stored = sum(value.numel() for value in values if value.numel() > 1) / weight.numel()
    promised = optimizer.state_tensors
    assert promised in (0, stored), f"it says {promised} tensors a weight, and keeps {stored:g}"
