"""ImageGeometricMean: the mean of the images' log probabilities, as probabilities again."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities
from kit.kinds import Aggregator


class ImageGeometricMean(Aggregator):
    """Geometric mean over the images of an answer. One image that rules a class out has a large effect.

    If a row may have several labels, the means of yes and of no are scaled to sum 1 for each class.

    Source: the product rule, Kittler et al. 1998, "On Combining Classifiers", section 2.1, with the root of the
    number of images.
    """

    label_kinds = ("class_index", "multi_hot", "soft")

    floor: float = Field(1e-7, gt=0, lt=0.1, description="smaller probabilities count as this one")

    def combine(self, images: Probabilities) -> Probabilities:
        logs = np.log(np.maximum(images, self.floor)).mean(axis=1)
        if not self.target.sums_to_one:
            others = np.log(np.maximum(1 - images, self.floor)).mean(axis=1)
            return np.asarray(1 / (1 + np.exp(others - logs)))
        return self.normalise(np.exp(logs - logs.max(axis=1, keepdims=True)))
