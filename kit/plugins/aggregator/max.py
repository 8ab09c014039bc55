"""ImageMax: the largest value over the images of an answer, column by column."""

from __future__ import annotations

from kit.core.arrays import Probabilities
from kit.kinds import Aggregator


class ImageMax(Aggregator):
    """Largest value over the images of an answer, column by column: one image is enough for a finding.

    Source: the max rule, Kittler et al. 1998, "On Combining Classifiers", section 3.1.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft")

    def combine(self, images: Probabilities) -> Probabilities:
        return self.normalise(images.max(axis=1))
