"""F1: the harmonic mean of precision and recall."""

from __future__ import annotations

import numpy as np

from kit.plugins.metric._class_counts import ClassCountMetric, Ratio


class F1(ClassCountMetric):
    """F1 score, averaged over classes, rows or all decisions by `average`.

    F1 = 2 hits / (true + predicted). A class without true and predicted rows counts 0, or is left out with
    `absent=skip`. With one label per row, such classes are always left out. A row without true and predicted labels
    counts 1 in `average=samples`. With one label per row, `average=micro` is accuracy.

    If a row may have several labels, `decision` in config.json assigns the predicted ones.

    Source: sklearn.metrics.f1_score with zero_division 0.
    """

    def ratio(self, hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> Ratio:
        return 2 * hits, true + predicted
