"""ConfidenceWeighted: a mean in which confident images weigh more."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.kinds import Aggregator, AnswerImages, Metric
from kit.plugins.aggregator._choice import choose_best

TRIED = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


class ConfidenceWeighted(Aggregator):
    """Mean over the images of an answer, weighted by a power of each image's confidence.

    The confidence is the largest probability of the image. If a row may have several labels, it is max(p, 1 - p) of
    each class. Power 0 is `mean`. If `power` is null, it is fitted.

    Source: a smooth form of the confident mean in S. Seferbekov's 1st place of Deepfake Detection 2020.
    """

    label_kinds = ("class_index", "multi_hot", "soft")

    power: float | None = Field(
        None, ge=0, le=50, description="power of the confidence; null: fitted on out-of-fold rows"
    )
    metric: Metric | None = Field(
        None, description="metric for which the power is fitted; null: the competition's"
    )

    def needs_fit(self) -> bool:
        return self.power is None

    def fit(self, images: AnswerImages, truth: Targets) -> Self:
        if self.power is not None:
            return self
        candidates = [self.model_copy(update={"power": power}) for power in TRIED]
        return choose_best(candidates, self.metric, images, truth)

    def combine(self, images: Probabilities) -> Probabilities:
        confidence = (
            images.max(axis=2, keepdims=True) if self.target.sums_to_one else np.maximum(images, 1 - images)
        )
        weights = np.maximum(confidence, 1e-12) ** (self.power or 0.0)
        return self.normalise((weights * images).sum(axis=1) / weights.sum(axis=1))
