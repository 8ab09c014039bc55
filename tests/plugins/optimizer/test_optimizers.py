"""Optimizers against torch's own loops."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kit.errors import ConfigError
from kit.kinds import Optimizer


def after(optimizer: torch.optim.Optimizer, layer: torch.nn.Linear, steps: int = 5) -> list[torch.Tensor]:
    inputs = torch.randn(16, 3, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        optimizer.zero_grad()
        layer(inputs).square().sum().backward()
        optimizer.step()
    return [weight.detach().clone() for weight in layer.parameters()]


def layer() -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(3, 2)


def reference(kind: Any, decay: float, **options: Any) -> list[torch.Tensor]:
    module = layer()
    groups = [
        {"params": [module.weight], "weight_decay": decay},
        {"params": [module.bias], "weight_decay": 0.0},
    ]
    return after(kind(groups, **options), module)


@pytest.mark.parametrize(
    ("spec", "kind", "decay", "options"),
    [
        ({"name": "adamw", "lr": 0.01, "weight_decay": 0.1}, torch.optim.AdamW, 0.1, {"lr": 0.01}),
        (
            {"name": "sgd", "lr": 0.01, "weight_decay": 0.1},
            torch.optim.SGD,
            0.1,
            {"lr": 0.01, "momentum": 0.9, "nesterov": True},
        ),
        (
            {"name": "timm", "opt": "adamw", "lr": 0.01, "weight_decay": 0.1},
            torch.optim.AdamW,
            0.1,
            {"lr": 0.01},
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) and "name" in value else "",
)
def test_it_is_torchs_with_no_decay_on_biases(
    spec: dict[str, Any], kind: Any, decay: float, options: dict[str, Any]
) -> None:
    module = layer()
    ours = after(Optimizer.open(spec).build(list(module.named_parameters())), module)
    for one, other in zip(ours, reference(kind, decay, **options), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opt", ["lamb", "lion", "nadamw", "adopt"])
def test_timms_optimizers_are_there_by_name(opt: str) -> None:
    module = layer()
    before = [weight.detach().clone() for weight in module.parameters()]
    moved = after(
        Optimizer.open({"name": "timm", "opt": opt}).build(list(module.named_parameters())), module, steps=5
    )
    assert not all(torch.equal(one, other) for one, other in zip(before, moved, strict=True))


def test_an_unknown_optimizer_of_timm_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no optimizer 'lmab'; did you mean 'lamb'"):
        Optimizer.open({"name": "timm", "opt": "lmab"}).build(list(layer().named_parameters()))


def test_plain_gradient_descent_keeps_no_state() -> None:
    plain, with_momentum = (Optimizer.open({"name": "sgd", "momentum": value}) for value in (0.0, 0.9))
    assert (plain.state_tensors, with_momentum.state_tensors) == (0, 1)
    optimizer = plain.build(list(layer().named_parameters()))
    after(optimizer, layer(), steps=1)
    assert not any(
        isinstance(value, torch.Tensor) for state in optimizer.state.values() for value in state.values()
    )


def step(optimizer: torch.optim.Optimizer, weight: torch.nn.Parameter) -> None:
    optimizer.zero_grad()
    (weight**2 / 2).sum().backward()
    optimizer.step()


LOOKAHEAD = {
    "name": "lookahead",
    "base": {"name": "sgd", "lr": 0.1, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0},
    "every": 3,
}


def test_lookahead_is_the_papers_algorithm() -> None:
    """By hand: a fast step of w^2 / 2 at rate .1 is a factor .9, so three of them and half of the way back."""
    weight = torch.nn.Parameter(torch.full((2,), 8.0, dtype=torch.float64))
    optimizer = Optimizer.open(LOOKAHEAD).build([("w", weight)])
    slow = fast = 8.0
    for number in range(1, 8):
        step(optimizer, weight)
        fast *= 0.9
        if number % 3 == 0:
            fast = slow = slow + 0.5 * (fast - slow)
        assert weight.tolist() == pytest.approx([fast] * 2)


def test_lookahead_continues_from_its_state_to_the_same_bits() -> None:
    spec = {"name": "lookahead", "every": 3}
    whole, first = (torch.nn.Parameter(torch.linspace(1, 2, 6)) for _ in range(2))
    one, other = (Optimizer.open(spec).build([("w", weight)]) for weight in (whole, first))
    for _ in range(8):
        step(one, whole)
    for _ in range(4):
        step(other, first)
    resumed = torch.nn.Parameter(first.detach().clone())
    again = Optimizer.open(spec).build([("w", resumed)])
    again.load_state_dict(other.state_dict())
    for _ in range(4):
        step(again, resumed)
    assert torch.equal(resumed, whole)
