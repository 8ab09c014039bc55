"""Precision: the share of predictions that are right."""

from __future__ import annotations

import numpy as np

from kit.plugins.metric._class_counts import ClassCountMetric, Ratio


class PrecisionScore(ClassCountMetric):
    """Share of a class's predictions that are right, averaged over classes, rows or all decisions.

    A class that is never predicted counts 0, or is left out with `absent=skip`. With one label per row, a class without
    true and predicted rows is always left out. A row without true and predicted labels counts 1 in `average=samples`.

    If a row may have several labels, `decision` in config.json assigns the predicted ones.

    Source: sklearn.metrics.precision_score with zero_division 0.
    """

    def ratio(self, hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> Ratio:
        return hits, predicted
