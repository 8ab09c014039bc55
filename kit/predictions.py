"""Predictions: probabilities by id, with the classes and what they were made from; kept as parquet.

A row says what the model of one fold predicts for one id. Out-of-fold rows come from the fold that held the id
out; a test id has a row a fold, and `mean` joins them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Predictions:
    """Probabilities (rows, classes) float32, aligned with `ids` and `folds` (rows,)."""

    ids: np.ndarray  # (rows,) of str
    folds: np.ndarray  # (rows,) int64, the fold whose model predicted the row
    classes: tuple[str, ...]
    probabilities: np.ndarray
    about: Mapping[str, Any] = field(default_factory=dict)  # JSON values, kept in the parquet's metadata

    def __len__(self) -> int:
        return len(self.ids)
