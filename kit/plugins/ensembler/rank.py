"""Rank: the mean of the members' ranks, so that members of different confidence count equally."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from kit.core.arrays import Probabilities
from kit.kinds import Ensembler


class Rank(Ensembler):
    """Mean over members of each row's rank within a class, divided by the number of rows plus 1. Ties share a rank.

    The rows of a class keep the order of their mean ranks. So rows do not sum to 1, unless there are two classes.

    It is made for metrics of the order of rows within a class, such as AUC. A rank is not a calibrated
    probability, and it depends on the other rows of the blend.

    Source: the first place of the SIIM-ISIC melanoma competition, Ha et al. 2020, "Identifying Melanoma Images
    using EfficientNet Ensemble", section 3.4; scipy.stats.rankdata.
    """

    label_kinds = ("class_index", "multi_hot")
    sums_to_one: ClassVar[bool] = False

    def blend(self, members: Probabilities) -> Probabilities:
        from scipy.stats import rankdata

        ranks = np.zeros(members.shape[1:])
        for member in members:
            ranks += rankdata(member, axis=0)
        return ranks / len(members) / (len(ranks) + 1)
