"""The first weight, statistic or layer that is not finite is named."""

from __future__ import annotations

import torch
from torch import nn

from kit.model.non_finite import find_non_finite


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.BatchNorm1d(4), nn.ReLU()), nn.Linear(4, 2))


def find(model: nn.Module) -> str:
    return find_non_finite(model, lambda: model(torch.ones(2, 3)))


def test_nothing_is_named_in_a_sound_network_and_its_mode_stays() -> None:
    model = network()
    model[2].eval()
    assert find(model) == ""
    assert [module.training for module in model] == [True, True, False]
    assert not any(module._forward_hooks for module in model.modules())


def test_a_statistic_is_named() -> None:
    model = network()
    model.get_buffer("1.0.running_var")[1] = float("inf")
    assert find(model) == "1.0.running_var has 1 of 4 values that are not finite"


def test_a_layer_that_overflows_is_named_with_its_input() -> None:
    model = network()
    model.get_buffer("1.0.running_var").fill_(-1.0)
    assert find(model) == (
        "layer 1.0 (BatchNorm1d) gives 8 of 8 values that are not finite, for inputs up to "
        f"{float(model[0](torch.ones(2, 3)).detach().abs().max()):.3g}, in float32"
    )
