"""AUC: the probability that a row of a class is ranked above a row of another."""

from __future__ import annotations

import numpy as np

from kit.plugins.metric._multi_label import MeanOverClasses, Weighted


class Auc(MeanOverClasses):
    """Area under the ROC curve: of the second of two classes, or the mean of each class against the rest.

    Classes without rows, or with all of them, have no curve and are left out of the mean. If a row may have
    several labels, every other class counts. Raises InvalidError if no class has a curve.

    Source: sklearn.metrics.roc_auc_score, one against the rest, macro.
    """

    error_name = "AUC"
    undrawn = "rows of two classes; all drawn are of one"
    need_others = True

    def curve(self, positive: np.ndarray, shares: np.ndarray) -> Weighted:
        return _area(positive, shares)


def _area(positive: np.ndarray, shares: np.ndarray) -> Weighted:
    """Returns the area under one class's curve as a function of the rows' weights, NaN if it has no curve.

    It is the share of correctly ordered pairs of a positive and a negative row; equal ones count half.
    """
    order = np.argsort(shares, kind="stable")
    values, kind = shares[order], positive[order].astype(np.float64)
    runs = np.concatenate([[True], values[1:] != values[:-1]])  # the start of another probability
    starts = np.flatnonzero(runs)

    def area(weights: np.ndarray) -> float:
        sorted_weights = weights[order].astype(np.float64)
        yes = np.add.reduceat(sorted_weights * kind, starts)
        no = np.add.reduceat(sorted_weights, starts) - yes
        pairs = yes.sum() * no.sum()
        return float((yes * (no.cumsum() - no / 2)).sum() / pairs) if pairs > 0 else float("nan")

    return area
