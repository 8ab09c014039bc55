"""Transformer layers over instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from kit.kinds import Instances

if TYPE_CHECKING:
    from torch import nn


class TransformerInstances(Instances):
    """Transformer layers between the instances of a bag, and the mean over them.

    With `positions` the instances have positions in the order of `data.order`.

    Source: Vaswani et al. 2017, "Attention Is All You Need"; Shao et al. 2021, "TransMIL", over instances.
    """

    dim: int = Field(128, ge=2, le=8192, description="width of the layers, a multiple of `heads`")
    heads: int = Field(4, ge=1, le=64, description="attention heads of a layer")
    layers: int = Field(1, ge=1, le=24, description="number of layers")
    layer_dropout: float = Field(0.1, ge=0, lt=1, description="dropout within the layers")
    positions: bool = Field(False, description="tell the layers each instance's place; needs data.order")

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not a multiple of heads {self.heads}")
        return self

    def uses_order(self) -> bool:
        return self.positions

    def build(self, features: int) -> nn.Module:
        from kit.plugins.instances._sequences import InstanceTransformer

        return InstanceTransformer(
            features, self.dim, self.heads, self.layers, self.layer_dropout, self.positions
        )
