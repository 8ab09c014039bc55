"""Training of only the biases, including those of norm layers."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from kit.kinds import Adapter

if TYPE_CHECKING:
    from torch import nn


class Bitfit(Adapter):
    """Trains the biases, including those of norm layers. All other weights stay as they are.

    Source: Ben Zaken et al. 2022, "BitFit: Simple Parameter-efficient Fine-tuning", section 3.
    """

    def adapt(self, backbone: nn.Module) -> Collection[str]:
        return [name for name, _ in backbone.named_parameters() if name.endswith("bias")]
