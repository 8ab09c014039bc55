"""A GRU over the instances of a bag in their order."""

from __future__ import annotations

from typing import ClassVar, Literal

from kit.plugins.instances._recurrent import RecurrentInstances


class Gru(RecurrentInstances):
    """A GRU over the instances of a bag in the order of `data.order`, and the mean of its outputs.

    Source: Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder"; torch.nn.GRU.
    """

    cell: ClassVar[Literal["gru", "lstm"]] = "gru"
