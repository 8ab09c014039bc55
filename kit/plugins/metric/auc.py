"""AUC: the probability that a row of a class is ranked above a row of another."""

from __future__ import annotations

import numpy as np

from kit.errors import InvalidError
from kit.kinds import Metric


class Auc(Metric):
    """Area under the ROC curve: of the second of two classes, else the mean of each class against the rest.

    Classes without rows, or with all of them, have no curve and are left out of the mean.
    Raises InvalidError where no class has one.

    Source: sklearn.metrics.roc_auc_score, one against the rest, macro.
    """

    def score(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        from sklearn.metrics import roc_auc_score

        classes = probabilities.shape[1]
        counts = np.bincount(truth, minlength=classes)
        scored = [
            number for number in ([1] if classes == 2 else range(classes)) if 0 < counts[number] < len(truth)
        ]
        if not scored:
            raise InvalidError("AUC needs rows of two classes; all rows are of one", code="D45")
        return float(np.mean([roc_auc_score(truth == number, probabilities[:, number]) for number in scored]))
