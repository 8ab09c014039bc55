"""What formats of several labels a row share: which labels a row is given."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from kit.kinds import Format


class Several(Format):
    """Rows are given all labels whose probability reaches a threshold."""

    label_kinds = ("multi_hot",)

    threshold: float = Field(0.5, ge=0, le=1, description="probability from which a row is given a label")
    at_least_one: bool = Field(True, description="the likeliest label where none reaches the threshold")

    def given(self, shares: np.ndarray) -> np.ndarray:
        """The labels that rows are given, bool (N, K), by their probabilities (N, K)."""
        given = shares >= self.threshold
        if self.at_least_one:
            given[np.arange(len(shares)), shares.argmax(axis=1)] |= ~given.any(axis=1)
        return given
