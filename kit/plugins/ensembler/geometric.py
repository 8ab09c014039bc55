"""Geometric: the mean of the members' log probabilities, as probabilities again."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities
from kit.kinds import Ensembler


class Geometric(Ensembler):
    """Geometric mean of the members' probabilities. One member that rules a class out has a large effect.

    It is computed in log space, so that many small factors do not vanish, with probabilities of at least
    `floor`. If a row may have several labels, the means of yes and of no are scaled to sum 1 for each class.

    Source: the logarithmic opinion pool, Genest and Zidek 1986, "Combining Probability Distributions", section 3.
    """

    label_kinds = ("class_index", "multi_hot", "soft")

    floor: float = Field(1e-7, gt=0, lt=0.1, description="smaller probabilities count as this one")

    def blend(self, members: Probabilities) -> Probabilities:
        logs, others = np.zeros(members.shape[1:]), np.zeros(members.shape[1:])
        for member in members:
            shares = member.astype(np.float64)
            logs += np.log(np.maximum(shares, self.floor))
            if self.multi_label:
                others += np.log(np.maximum(1 - shares, self.floor))
        logs, others = logs / len(members), others / len(members)
        if self.multi_label:
            return 1 / (1 + np.exp(others - logs))
        blended = np.exp(logs - logs.max(axis=1, keepdims=True))
        probabilities: Probabilities = blended / blended.sum(axis=1, keepdims=True)
        return probabilities
