"""MajorityVote: each member has one vote per row."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities
from kit.kinds import Ensembler


class MajorityVote(Ensembler):
    """Majority vote: the share of members whose most probable class it is. The mean probability breaks ties.

    `mean` is the soft vote. It suits metrics of the class alone: the shares are not calibrated probabilities.

    Source: the plurality vote, Kuncheva 2004, "Combining Pattern Classifiers", section 4.2.
    """

    tie_break_weight: float = Field(
        0.001,
        gt=0,
        lt=0.5,
        description="weight of the mean probability; below 1 / members it only breaks ties",
    )

    def blend(self, members: Probabilities) -> Probabilities:
        votes, mean = np.zeros(members.shape[1:]), np.zeros(members.shape[1:])
        for member in members:
            votes[np.arange(members.shape[1]), member.argmax(axis=1)] += 1 / len(members)
            mean += member
        blended = votes + self.tie_break_weight * mean / mean.sum(axis=1, keepdims=True)
        probabilities: Probabilities = blended / blended.sum(axis=1, keepdims=True)
        return probabilities
