"""Spread: by how much a score would differ on other rows of the same kind, by drawing rows or groups again."""

from __future__ import annotations

import numpy as np

from kit.core.arrays import Probabilities, Targets
from kit.errors import InvalidError
from kit.evaluation import bootstrap
from kit.kinds import Metric


def error(
    metric: Metric, truth: Targets, probabilities: Probabilities, rows: int, groups: np.ndarray | None = None
) -> tuple[float, int]:
    """The standard deviation of the score over samples of so many rows, drawn with replacement, and how many samples.

    Groups (N,) are drawn whole, as many as make about so many rows. Raises InvalidError (D46) where too few samples
    have a score, or all have the same: rows that are all right tell nothing of the noise.
    """
    drawn = bootstrap.resample_scores(metric, truth, [probabilities], groups, rows=rows)[:, 0]
    kept = drawn[np.isfinite(drawn)]
    if len(kept) < max(2, len(drawn) // 2):
        raise InvalidError(f"{metric.plugin_name()} has no score on most samples of {rows} rows", code="D46")
    if kept.min() == kept.max():
        raise InvalidError(f"{metric.plugin_name()} is equal on all samples of {rows} rows", code="D46")
    return float(np.std(kept, ddof=1)), len(drawn)
