"""The options shared by GRU and LSTM over the instances of a bag."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kit.kinds import Instances

if TYPE_CHECKING:
    from torch import nn


class RecurrentInstances(Instances):
    """A recurrent network of torch over the instances of a bag in the order of `data.order`."""

    cell: ClassVar[Literal["gru", "lstm"]]

    hidden: int = Field(128, ge=1, le=8192, description="hidden size per direction")
    layers: int = Field(1, ge=1, le=8, description="number of layers")
    bidirectional: bool = Field(True, description="read the sequence from both ends")
    layer_dropout: float = Field(0.0, ge=0, lt=1, description="dropout between layers")
    take: Literal["mean", "last"] = Field("mean", description="mean of all outputs, or the last states")

    def uses_order(self) -> bool:
        return True

    def build(self, features: int) -> nn.Module:
        from kit.plugins.instances._sequences import Recurrent

        return Recurrent(
            self.cell, features, self.hidden, self.layers, self.bidirectional, self.layer_dropout, self.take
        )
