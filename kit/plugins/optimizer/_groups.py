"""Weight decay by parameter: matrices and kernels decay, biases and the scales of norm layers do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.nn import Parameter


def groups(parameters: Sequence[tuple[str, Parameter]], weight_decay: float) -> list[dict[str, Any]]:
    """Returns torch's parameter groups of the trained weights. Weights with fewer than two dimensions do not decay."""
    trained = [weight for _, weight in parameters if weight.requires_grad]
    decayed = [weight for weight in trained if weight.dim() > 1]
    not_decayed = [weight for weight in trained if weight.dim() <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": not_decayed, "weight_decay": 0.0}]
