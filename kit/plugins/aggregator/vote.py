"""ImageVote: each image of an answer has one vote."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities
from kit.kinds import Aggregator


class ImageVote(Aggregator):
    """Share of the images of an answer whose most probable class it is. The mean probability breaks ties.

    If a row may have several labels, it is the share of images to which the decision rule gives the label.
    The shares are not calibrated probabilities.

    Source: the majority vote rule, Kittler et al. 1998, "On Combining Classifiers", section 3.4.
    """

    label_kinds = ("class_index", "multi_hot")

    tie_break_weight: float = Field(
        0.001,
        gt=0,
        lt=0.5,
        description="weight of the mean probability; below 1 / images it only breaks ties",
    )

    def combine(self, images: Probabilities) -> Probabilities:
        answers, count, classes = images.shape
        if self.target.sums_to_one:
            votes = images.argmax(axis=2)[..., None] == np.arange(classes)
        else:
            votes = self.decision.assign_labels(images.reshape(-1, classes)).reshape(answers, count, classes)
        weight = self.tie_break_weight
        return self.normalise((1 - weight) * votes.mean(axis=1) + weight * images.mean(axis=1))
