"""Weighted AUC: the area under the ROC curve, with bands of the true positive rate that count differently."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from kit.plugins.metric._multi_label import Weighted
from kit.plugins.metric._roc import PositiveClassCurve, area_between, roc_by_weights


class WeightedAuc(PositiveClassCurve):
    """Area under the ROC curve in bands of the true positive rate, averaged by weight and width of the bands.

    sum(w_b A_b) / sum(w_b width_b), where A_b is the integral of 1 - FPR over the TPR within band b. Band edges are
    interpolated. A constant prediction has 0.586 with the default bands, perfect ones 1. Classes count as in
    `partial_auc`.

    Source: ALASKA2 Image Steganalysis (TPR 0 to 0.4 counts 2, 0.4 to 1 counts 1), as mle-bench grades it; the
    competition's well-known kernel does not interpolate.
    """

    error_name = "weighted AUC"
    undrawn = "rows of two classes; all drawn are of one"

    edges: tuple[float, ...] = Field((0.4,), description="true positive rates between the bands, ascending")
    weights: tuple[float, ...] = Field((2.0, 1.0), description="the weight of each band, from TPR 0 up")

    @model_validator(mode="after")
    def _bands_fit(self) -> Self:
        if list(self.edges) != sorted(set(self.edges)) or any(not 0 < edge < 1 for edge in self.edges):
            raise ValueError(f"edges must ascend between 0 and 1, not {list(self.edges)}")
        if len(self.weights) != len(self.edges) + 1:
            raise ValueError(
                f"{len(self.edges)} edges make {len(self.edges) + 1} bands, not {len(self.weights)}"
            )
        if min(self.weights) < 0 or not any(self.weights):
            raise ValueError("weights must be 0 or more, and not all 0")
        return self

    def curve(self, positive: np.ndarray, shares: np.ndarray) -> Weighted:
        roc, bounds = roc_by_weights(positive, shares), [0.0, *self.edges, 1.0]
        bands = [*zip(self.weights, bounds[:-1], bounds[1:], strict=True)]
        whole = sum(weight * (high - low) for weight, low, high in bands)

        def area(weights: np.ndarray) -> float:
            points = roc(weights)
            if points is None:
                return float("nan")
            return min(
                sum(weight * area_between(points, low, high) for weight, low, high in bands) / whole, 1.0
            )

        return area
