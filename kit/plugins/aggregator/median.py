"""ImageMedian: the median over the images of an answer, column by column."""

from __future__ import annotations

import numpy as np

from kit.core.arrays import Probabilities
from kit.kinds import Aggregator


class ImageMedian(Aggregator):
    """Median over the images of an answer, column by column. A minority of wrong images has no effect.

    If one label is given and all medians of an answer are 0, its mean is used.

    Source: the median rule, Kittler et al. 1998, "On Combining Classifiers", section 3.3.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft")

    def combine(self, images: Probabilities) -> Probabilities:
        medians = np.median(images, axis=1)
        if self.target.sums_to_one:
            empty = medians.sum(axis=1) <= 0
            medians[empty] = images[empty].mean(axis=1)
        return self.normalise(medians)
