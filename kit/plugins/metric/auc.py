"""AUC: the probability that a row of a class is ranked above a row of another."""

from __future__ import annotations

import numpy as np

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
        from sklearn.metrics import roc_auc_score

        hot = one_against_rest(truth, probabilities.shape[1])
        scored = scored_classes(truth, hot, "AUC", need_others=True)
        return float(np.mean([roc_auc_score(hot[:, k], probabilities[:, k]) for k in scored]))
