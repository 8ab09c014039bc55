"""An LSTM over the instances of a bag in their order."""

from __future__ import annotations

from typing import ClassVar, Literal

from kit.plugins.instances._recurrent import RecurrentInstances


class Lstm(RecurrentInstances):
    """An LSTM over the instances of a bag in the order of `data.order`, and the mean of its outputs.

    Source: Hochreiter & Schmidhuber 1997, "Long Short-Term Memory"; torch.nn.LSTM.
    """

    cell: ClassVar[Literal["gru", "lstm"]] = "lstm"
