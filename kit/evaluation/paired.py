"""paired: the gain of one prediction over others of the same rows, on the same draws of the bootstrap."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kit.core.arrays import Targets
from kit.data.predictions import Predictions, common_ids
from kit.data.table import Table
from kit.errors import InvalidError
from kit.evaluation import bootstrap
from kit.evaluation.gains import Gain, gain
from kit.kinds import Metric


def compute_gains(
    metric: Metric,
    truth: Targets,
    one: np.ndarray,
    others: Mapping[str, np.ndarray],
    groups: np.ndarray | None = None,
) -> tuple[Gain, ...]:
    """The gains of `one` (N, K) over each of the others, by name."""
    drawn = bootstrap.resample_scores(metric, truth, [one, *others.values()], groups)
    score = metric.score(truth, one)
    return tuple(
        gain(metric, name, score, metric.score(truth, other), drawn[:, 0], drawn[:, place])
        for place, (name, other) in enumerate(others.items(), 1)
    )


def common_rows(one: Predictions, other: Predictions, table: Table) -> tuple[Table, np.ndarray, np.ndarray]:
    """The labelled rows (N) that two runs both predict out of fold, and what each says of them, (N, K).

    Raises InvalidError D41 where there is none.
    """
    ids = common_ids([one, other])
    if not len(ids):
        raise InvalidError("no row has out-of-fold predictions of both", code="D41")
    first, second = (made.mean().align(ids, allow_extra=True) for made in (one, other))
    return table.take(table.index_of(ids)), first, second
