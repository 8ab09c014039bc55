"""Recall: the share of a class's rows that are found."""

from __future__ import annotations

import numpy as np

from kit.plugins.metric._class_counts import ClassCountMetric, Ratio


class RecallScore(ClassCountMetric):
    """Share of a class's rows that are predicted as it, averaged over classes, rows or all decisions.

    A class without true rows counts 0 if it is predicted, or is left out with `absent=skip`. With one label per row, a
    class without true and predicted rows is always left out. `balanced_accuracy` leaves out every class without true
    rows. A row without true and predicted labels counts 1 in `average=samples`.

    If a row may have several labels, `decision` in config.json assigns the predicted ones.

    Source: sklearn.metrics.recall_score with zero_division 0; of one component, the macro recall of Bengali.AI.
    """

    def ratio(self, hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> Ratio:
        return hits, true
