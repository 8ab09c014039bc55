"""ImageMean: the arithmetic mean over the images of an answer."""

from __future__ import annotations

from kit.core.arrays import Probabilities
from kit.kinds import Aggregator


class ImageMean(Aggregator):
    """Arithmetic mean over the images of an answer.

    Source: the sum rule, Kittler et al. 1998, "On Combining Classifiers", section 2.2.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft", "several")

    def combine(self, images: Probabilities) -> Probabilities:
        return self.normalise(images.mean(axis=1))
