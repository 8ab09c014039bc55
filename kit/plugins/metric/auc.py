"""AUC: the probability that a row of a class is ranked above a row of another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kit.errors import InvalidError
from kit.kinds import Metric
from kit.plugins.metric._several import one_against_rest, scored_classes


class Auc(Metric):
    """Area under the ROC curve: of the second of two classes, else the mean of each class against the rest.

    Classes without rows, or with all of them, have no curve and are left out of the mean; where a row may have several
    labels, every other class counts. Raises InvalidError where no class has a curve.

    Source: sklearn.metrics.roc_auc_score, one against the rest, macro.
    """

    label_kinds = ("numbers", "multi_hot")

    def score(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        return self.reweighted(truth, probabilities)(np.ones(len(truth)))

    def reweighted(self, truth: np.ndarray, probabilities: np.ndarray) -> Callable[[np.ndarray], float]:
        hot = one_against_rest(truth, probabilities.shape[1])
        scored = scored_classes(truth, hot, "AUC", need_others=True)
        curves = [_area(hot[:, k], probabilities[:, k]) for k in scored]

        def score(weights: np.ndarray) -> float:
            areas = np.array([curve(weights) for curve in curves])
            if np.isnan(areas).all():
                raise InvalidError("AUC needs rows of two classes; all drawn are of one", code="D45")
            return float(np.nanmean(areas))

        return score


def _area(positive: np.ndarray, shares: np.ndarray) -> Callable[[np.ndarray], float]:
    """The area under one class's curve as a function of the rows' weights, NaN where it has none.

    The share of pairs of a positive and a negative row that are in order, equal ones counting half.
    """
    order = np.argsort(shares, kind="stable")
    values, kind = shares[order], positive[order].astype(np.float64)
    runs = np.concatenate([[True], values[1:] != values[:-1]])  # where another probability begins
    starts = np.flatnonzero(runs)

    def area(weights: np.ndarray) -> float:
        sorted_weights = weights[order].astype(np.float64)
        yes = np.add.reduceat(sorted_weights * kind, starts)
        no = np.add.reduceat(sorted_weights, starts) - yes
        pairs = yes.sum() * no.sum()
        return float((yes * (no.cumsum() - no / 2)).sum() / pairs) if pairs > 0 else float("nan")

    return area
