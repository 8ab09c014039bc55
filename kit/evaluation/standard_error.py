"""Standard error: the spread of a score over other rows of the same kind, by resampling rows or groups."""

from __future__ import annotations

import numpy as np

from kit.core.arrays import Probabilities, Targets
from kit.errors import InvalidError
from kit.evaluation import bootstrap
from kit.kinds import Metric


def error(
    metric: Metric, truth: Targets, probabilities: Probabilities, rows: int, groups: np.ndarray | None = None
) -> tuple[float, int]:
    """Returns the standard deviation of the score over samples of `rows` rows, drawn with replacement, and
    the number of samples.

    Groups (N,) are drawn whole, as many as make about `rows` rows. Raises InvalidError (D46) if too few
    samples have a score, or if all have the same: rows that are all correct do not show the noise.
    """
    scores = bootstrap.resample_scores(metric, truth, [probabilities], groups, rows=rows)[:, 0]
    finite = scores[np.isfinite(scores)]
    if len(finite) < max(2, len(scores) // 2):
        raise InvalidError(f"{metric.plugin_name()} has no score on most samples of {rows} rows", code="D46")
    if finite.min() == finite.max():
        raise InvalidError(f"{metric.plugin_name()} is equal on all samples of {rows} rows", code="D46")
    return float(np.std(finite, ddof=1)), len(scores)
