"""Partial AUC: the area under the ROC curve where the true positive rate is high."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from kit.plugins.metric._multi_label import Weighted
from kit.plugins.metric._roc import PositiveClassCurve, area_between, roc_by_weights


class PartialAuc(PositiveClassCurve):
    """Area under the ROC curve above a true positive rate, from 0 to 1 - `min_tpr`: not rescaled.

    It is the integral of 1 - FPR over the TPR from `min_tpr` to 1, with the point at `min_tpr` interpolated. A constant
    prediction has (1 - min_tpr)^2 / 2. Of two classes the second is positive. Of more, or if a row may have several
    labels, it is the mean over classes. Classes without rows, or with all of them, are left out. Raises InvalidError if
    none is left.

    scikit-learn's partial AUC (`max_fpr`) is rescaled after McClish, and is another number.

    Source: ISIC 2024 (min_tpr 0.8), p_auc_tpr of ISIC-Research/Challenge-2024-Metrics.
    """

    error_name = "partial AUC"
    undrawn = "rows of two classes; all drawn are of one"

    min_tpr: float = Field(0.8, ge=0, lt=1, description="the true positive rate above which the area counts")

    @property
    def limits(self) -> tuple[float, float]:  # type: ignore[override]
        """0 and the width of the band."""
        return 0.0, 1 - self.min_tpr

    def curve(self, positive: np.ndarray, shares: np.ndarray) -> Weighted:
        roc = roc_by_weights(positive, shares)

        def area(weights: np.ndarray) -> float:
            points = roc(weights)
            return float("nan") if points is None else area_between(points, self.min_tpr, 1)

        return area
