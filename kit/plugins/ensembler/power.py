"""PowerMean: a mean between the geometric mean and the maximum, or below them."""

from __future__ import annotations

import numpy as np
from pydantic import Field, field_validator

from kit.core.arrays import Probabilities
from kit.kinds import Ensembler


class PowerMean(Ensembler):
    """Power mean of the members' probabilities: 1 is the mean, above 1 confident members weigh more, below 1 less.

    It is (mean of p^power)^(1/power), scaled to sum 1 per row. Power -1 is the harmonic mean; powers near 0
    approach the geometric mean (`geometric`). Probabilities count as at least `floor`. Rows that may have
    several labels are not scaled to sum 1.

    Source: Hardy, Littlewood and Polya 1934, "Inequalities", section 2.2.
    """

    label_kinds = ("class_index", "multi_hot", "soft")

    power: float = Field(
        2.0, ge=-20, le=20, description="exponent; above 1, confident members count more; not 0"
    )
    floor: float = Field(1e-7, gt=0, lt=0.1, description="smaller probabilities count as this one")

    @field_validator("power")
    @classmethod
    def _not_zero(cls, power: float) -> float:
        if power == 0:
            raise ValueError("power 0 is the geometric mean: ensembler=geometric")
        return power

    def blend(self, members: Probabilities) -> Probabilities:
        logs = np.full(members.shape[1:], -np.inf)
        for member in members:  # a sum of powers in log space, in which p^20 does not vanish
            logs = np.logaddexp(logs, self.power * np.log(np.maximum(member.astype(np.float64), self.floor)))
        logs = (logs - np.log(len(members))) / self.power
        if self.multi_label:
            return np.asarray(np.exp(np.minimum(logs, 0)))  # rounding may exceed 1
        return self.normalise(np.exp(logs - logs.max(axis=1, keepdims=True)))
