"""Average precision: how far up a class's rows stand in the order of its probabilities (mAP)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kit.errors import InvalidError
from kit.kinds import Metric
from kit.plugins.metric._several import one_against_rest, scored_classes


class AveragePrecision(Metric):
    """Mean over classes of the precision at each of the class's rows, in the order of its probabilities.

    Of two classes the second alone counts, unless a row may have several labels. Classes without rows are left out.
    Raises InvalidError where none is left.

    Source: sklearn.metrics.average_precision_score, macro; the mAP of Microsoft COCO and Open Images classification.
    """

    label_kinds = ("numbers", "multi_hot")

    def score(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        return self.reweighted(truth, probabilities)(np.ones(len(truth)))

    def reweighted(self, truth: np.ndarray, probabilities: np.ndarray) -> Callable[[np.ndarray], float]:
        hot = one_against_rest(truth, probabilities.shape[1])
        scored = scored_classes(truth, hot, "average precision", need_others=False)
        curves = [_precision(hot[:, k], probabilities[:, k]) for k in scored]

        def score(weights: np.ndarray) -> float:
            found = np.array([curve(weights) for curve in curves])
            if np.isnan(found).all():
                raise InvalidError("average precision needs rows of a class; none is drawn", code="D45")
            return float(np.nanmean(found))

        return score


def _precision(positive: np.ndarray, shares: np.ndarray) -> Callable[[np.ndarray], float]:
    """One class's average precision as a function of the rows' weights, NaN where it has no row.

    The sum over its rows, highest probability first, of the precision down to there; equal ones are taken together.
    """
    order = np.argsort(-shares, kind="stable")
    values, kind = shares[order], positive[order].astype(np.float64)
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))

    def precision(weights: np.ndarray) -> float:
        by_rank = weights[order].astype(np.float64)
        yes, rows = np.add.reduceat(by_rank * kind, starts), np.add.reduceat(by_rank, starts)
        total, seen = yes.sum(), rows.cumsum()
        if not total:
            return float("nan")
        return float((yes * yes.cumsum() / np.where(seen > 0, seen, 1)).sum() / total)

    return precision
