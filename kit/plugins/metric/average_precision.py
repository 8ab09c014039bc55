"""Average precision: how high a class's rows rank by its probability (mAP)."""

from __future__ import annotations

import numpy as np

from kit.plugins.metric._multi_label import MeanOverClasses, Weighted


class AveragePrecision(MeanOverClasses):
    """Mean over classes of the mean precision at each of the class's rows, in descending order of probability.

    Of two classes only the second counts, unless a row may have several labels. Classes without rows are left
    out. Raises InvalidError if no class is left.

    Source: sklearn.metrics.average_precision_score, macro; the mAP of Microsoft COCO and Open Images classification.
    """

    error_name = "average precision"
    undrawn = "rows of a class; none is drawn"
    need_others = False

    def curve(self, positive: np.ndarray, shares: np.ndarray) -> Weighted:
        return _precision(positive, shares)


def _precision(positive: np.ndarray, shares: np.ndarray) -> Weighted:
    """Returns one class's average precision as a function of the rows' weights, NaN if it has no row.

    It is the sum over its rows, highest probability first, of the precision down to the row. Equal
    probabilities are taken together.
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
