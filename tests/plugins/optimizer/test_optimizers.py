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
    made = layer()
    groups = [{"params": [made.weight], "weight_decay": decay}, {"params": [made.bias], "weight_decay": 0.0}]
    return after(kind(groups, **options), made)


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
    made = layer()
    ours = after(Optimizer.open(spec).build(list(made.named_parameters())), made)
    for one, other in zip(ours, reference(kind, decay, **options), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opt", ["lamb", "lion", "nadamw", "adopt"])
def test_timms_optimizers_are_there_by_name(opt: str) -> None:
    made = layer()
    before = [weight.detach().clone() for weight in made.parameters()]
    moved = after(
        Optimizer.open({"name": "timm", "opt": opt}).build(list(made.named_parameters())), made, steps=5
    )
    assert not all(torch.equal(one, other) for one, other in zip(before, moved, strict=True))


def test_an_unknown_optimizer_of_timm_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no optimizer 'lmab'; did you mean 'lamb'"):
        Optimizer.open({"name": "timm", "opt": "lmab"}).build(list(layer().named_parameters()))


def test_plain_gradient_descent_keeps_no_state() -> None:
    plain, with_momentum = (Optimizer.open({"name": "sgd", "momentum": value}) for value in (0.0, 0.9))
    assert (plain.state_tensors, with_momentum.state_tensors) == (0, 1)
    made = plain.build(list(layer().named_parameters()))
    after(made, layer(), steps=1)
    assert not any(
        isinstance(value, torch.Tensor) for state in made.state.values() for value in state.values()
    )
