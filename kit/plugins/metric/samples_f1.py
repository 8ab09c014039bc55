"""Samples F1: the mean over rows of the F1 of a row's labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.plugins.metric._row_mean import RowMean


class SamplesF1(RowMean):
    """Mean over rows of the F score of the predicted labels: 1 if a row has no label and none is predicted.

    `decision` in config.json assigns the labels of a row.

    F = (1 + beta^2) * hits / (beta^2 * true + predicted). With beta 2 a missed label costs more than an extra
    one.

    Source: sklearn.metrics.fbeta_score, average "samples"; the metric of Plant Pathology 2021 (beta 1) and of Planet:
    Understanding the Amazon from Space (beta 2).
    """

    label_kinds = ("multi_hot",)
    replaced_options: ClassVar[Mapping[str, str]] = {"threshold": "decision.threshold"}
    limits = (0, 1)

    beta: float = Field(1.0, gt=0, le=10, description="weight of recall; above 1, missed labels cost more")

    def by_row(self, truth: Targets, probabilities: Probabilities) -> np.ndarray:
        """Returns the F score of each row, (N,)."""
        given, true, weight = self.decision.assign_labels(probabilities), truth.astype(bool), self.beta**2
        both = weight * true.sum(axis=1) + given.sum(axis=1)
        hits = (1 + weight) * (true & given).sum(axis=1)
        return np.where(both > 0, hits / np.where(both > 0, both, 1), 1.0)
