"""Rank: the mean of the members' ranks, so that members of different confidence count alike."""

from __future__ import annotations

import numpy as np

from kit.kinds import Ensembler


class Rank(Ensembler):
    """Mean over members of each row's rank within a class, made to sum to 1 a row; ties share their mean rank.

    Where a row may have several labels, it is divided by one more than there are rows instead.

    Made for metrics that ask for the order of rows within a class, such as AUC; it is no calibrated probability,
    and a row's rank depends on the other rows blended with it.

    Source: the first place of the SIIM-ISIC melanoma competition, Ha et al. 2020, "Identifying Melanoma Images
    using EfficientNet Ensemble", section 3.4; scipy.stats.rankdata.
    """

    label_kinds = ("numbers", "multi_hot")

    def blend(self, members: np.ndarray) -> np.ndarray:
        from scipy.stats import rankdata

        ranks = np.zeros(members.shape[1:])
        for member in members:
            ranks += rankdata(member, axis=0)
        if self.multi_label:
            return ranks / len(members) / (len(ranks) + 1)
        return self.closed(ranks)
