"""Mean: the arithmetic mean of the members' probabilities."""

from __future__ import annotations

import numpy as np

from kit.core.arrays import Probabilities
from kit.kinds import Ensembler


class Mean(Ensembler):
    """Arithmetic mean of the members' probabilities.

    Also called soft vote.

    Source: the linear opinion pool, Genest and Zidek 1986, "Combining Probability Distributions", section 3.
    """

    label_kinds = ("class_index", "multi_hot", "numbers", "soft", "several")

    def blend(self, members: Probabilities) -> Probabilities:
        return self.normalise(members.mean(axis=0, dtype=np.float64))
