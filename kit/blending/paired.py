"""paired: the gain of one prediction over others of the same rows, on the same draws of the bootstrap."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kit.blending import bootstrap
from kit.blending.gains import Gain, gain
from kit.kinds import Metric


def paired(
    metric: Metric, truth: np.ndarray, one: np.ndarray, others: Mapping[str, np.ndarray],
    groups: np.ndarray | None = None,
) -> tuple[Gain, ...]:  # fmt: skip
    """The gains of `one` (N, K) over each of the others, by name."""
    drawn = bootstrap.scores(metric, truth, [one, *others.values()], groups)
    score = metric.score(truth, one)
    return tuple(
        gain(metric, name, score, metric.score(truth, other), drawn[:, 0], drawn[:, place])
        for place, (name, other) in enumerate(others.items(), 1)
    )
