"""A small convolutional network for small images and first experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Backbone

if TYPE_CHECKING:
    from torch import nn


class Small(Backbone):
    """Stages of two 3x3 convolutions with batch norm. Each stage halves the resolution and doubles the width.

    Source: the plain stacks of Simonyan & Zisserman 2015, with the batch norm of Ioffe & Szegedy 2015.
    """

    width: int = Field(32, ge=1, le=1024, description="channels of the first stage")
    stages: int = Field(
        3, ge=1, le=6, description="number of stages; each after the first halves the resolution"
    )

    def build(self) -> nn.Module:
        from torch import nn

        layers: list[nn.Module] = []
        channels = self.channels
        for stage in range(self.stages):
            wide = self.width * 2**stage
            layers += [*_block(channels, wide, stride=1 if stage == 0 else 2), *_block(wide, wide, stride=1)]
            channels = wide
        return nn.Sequential(*layers)


def _block(given: int, wanted: int, stride: int) -> list[nn.Module]:
    from torch import nn

    convolution = nn.Conv2d(given, wanted, 3, stride=stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(wanted), nn.ReLU(inplace=True)]
