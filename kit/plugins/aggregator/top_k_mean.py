"""TopKMean: the mean of the k largest values over the images of an answer."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.kinds import Aggregator, AnswerImages, Metric
from kit.plugins.aggregator._choice import choose_best

TRIED = (32, 24, 16, 12, 8, 6, 5, 4, 3, 2, 1)  # images


class TopKMean(Aggregator):
    """Mean of the k largest values over the images of an answer, column by column.

    It lies between `max` (1) and `mean` (all images), for findings that few images show. If `k` is null, it is fitted.

    Source: the top instances of Durand et al. 2016, "WELDON: Weakly Supervised Learning of Deep Convolutional Neural
    Networks", section 3.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft")

    k: int | None = Field(
        None,
        ge=1,
        description="number of images per class; an answer with fewer uses all; null: fitted on out-of-fold rows",
    )
    metric: Metric | None = Field(None, description="metric for which k is fitted; null: the competition's")

    def needs_fit(self) -> bool:
        return self.k is None

    def fit(self, images: AnswerImages, truth: Targets) -> Self:
        if self.k is not None:
            return self
        most = int(images.counts.max())
        counts = [most, *(k for k in TRIED if k < most)]  # the mean first, so that it wins among equals
        return choose_best([self.model_copy(update={"k": k}) for k in counts], self.metric, images, truth)

    def combine(self, images: Probabilities) -> Probabilities:
        count = images.shape[1]
        least = count - min(self.k or count, count)
        return self.normalise(np.partition(images, least, axis=1)[:, least:].mean(axis=1))
