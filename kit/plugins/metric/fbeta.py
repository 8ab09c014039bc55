"""F-beta: a mean of precision and recall; beta above 1 prefers recall."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from kit.plugins.metric._class_counts import ClassCountMetric, Ratio


class Fbeta(ClassCountMetric):
    """F score with a weight of recall, averaged over classes, rows or all decisions by `average`.

    F = (1 + beta^2) hits / (beta^2 true + predicted). A class without true and predicted rows counts 0, or is left out
    with `absent=skip`. With one label per row, such classes are always left out. A row without true and predicted
    labels counts 1 in `average=samples`.

    If a row may have several labels, `decision` in config.json assigns the predicted ones.

    Source: sklearn.metrics.fbeta_score with zero_division 0; average samples with beta 2 is the metric of Planet:
    Understanding the Amazon from Space.
    """

    beta: float = Field(
        2.0,
        gt=0,
        le=100,
        description="weight of recall; above 1, missed rows cost more than wrong predictions",
    )

    def ratio(self, hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> Ratio:
        weight = self.beta**2
        return (1 + weight) * hits, weight * true + predicted
