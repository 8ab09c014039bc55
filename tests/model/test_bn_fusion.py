"""Fusing: the same outputs as the network that is not fused, whatever the family; the network itself stays as it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kit.device.precision import Precision
from kit.kinds import Backbone
from kit.model.bn_fusion import for_predicting, fuse

FLOAT = Precision("float32", "float32", "contiguous")


def used(network: nn.Module) -> nn.Module:
    """The network with running statistics and scales as training leaves them: none is 0 or 1."""
    draws = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=draws)
            module.running_var.uniform_(0.5, 1.5, generator=draws)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5, generator=draws)
                nn.init.normal_(module.bias, 0, 0.1, generator=draws)
    return network


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize(
    ("arch", "left"),
    [("resnet10t", 0), ("efficientnet_lite0", 0), ("regnetx_002", 0), ("densenet121", 62), ("test_vit", 0)],
)
def test_a_fused_network_gives_the_same_and_is_another_one(arch: str, left: int) -> None:
    network = used(
        Backbone.open({"name": "timm", "arch": arch, **({"img_size": 64} if "vit" in arch else {})}).build()
    )
    before = {key: value.clone() for key, value in network.state_dict().items()}
    made = fuse(network.train(), 64)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert (made is network) == (norms(network) == 0)
    assert norms(made) == left
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255
    with torch.inference_mode():
        found, wanted = made.eval()(images), network.eval()(images)
    assert (found - wanted).abs().max() <= 1e-4 * wanted.abs().max()


class Twice(nn.Module):
    """A kernel at work twice, once into its norm, and norms of a kernel whose output is needed besides."""

    def __init__(self, forward: Callable[[Twice, Tensor], Tensor]) -> None:
        super().__init__()
        self.kernel, self.norm, self.way = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), forward

    def forward(self, images: Tensor) -> Tensor:
        return self.way(self, images)


@pytest.mark.parametrize(
    "way",
    [
        lambda own, x: own.norm(own.kernel(own.kernel(x))),  # a kernel that is shared
        lambda own, x: own.norm(own.kernel(x)) + own.norm(x),  # a norm that is shared
        lambda own, x: (lambda y: own.norm(y) + y)(own.kernel(x)),  # the kernel's output is needed besides
        lambda own, x: own.norm(own.kernel(x).relu()),  # something stands between them
        lambda own, x: own.norm(own.kernel(x)) * own.norm.weight.mean(),  # the norm is looked into
    ],
)
def test_what_cannot_be_fused_is_left_as_it_is(way: Callable[[Twice, Tensor], Tensor]) -> None:
    network = used(Twice(way))
    assert fuse(network, 8) is network


def test_only_predictions_in_float32_are_fused() -> None:
    network = used(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False)))
    assert norms(for_predicting(network, FLOAT, 8)) == 0
    assert for_predicting(network, Precision("float32", "bfloat16", "contiguous"), 8) is network
