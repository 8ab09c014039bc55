"""Average precision: how far up a class's rows stand in the order of its probabilities (mAP)."""

from __future__ import annotations

import numpy as np

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
        from sklearn.metrics import average_precision_score

        hot = one_against_rest(truth, probabilities.shape[1])
        scored = scored_classes(truth, hot, "average precision", need_others=False)
        return float(np.mean([average_precision_score(hot[:, k], probabilities[:, k]) for k in scored]))
