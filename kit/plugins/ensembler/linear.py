"""Linear: a regression of the true numbers on the members' numbers, column by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError
from kit.kinds import Ensembler


class LinearStacking(Ensembler):
    """Least squares of each column's numbers on the members' predictions of it, with a constant.

    Coefficients are 0 or more by default, so that similar members do not get large opposite coefficients. The
    penalty draws predictions towards the members' mean: it acts on differences of the coefficients from 1 /
    M.

    Source: Breiman 1996, "Stacked Regressions"; scipy.optimize.nnls, and ridge regression.
    """

    label_kinds = ("numbers",)
    fitted: ClassVar[bool] = True

    non_negative: bool = Field(True, description="coefficients of 0 or more")
    l2: float = Field(
        0.001,
        ge=0,
        description="penalty of differences from equal weights, in units of the columns' variance",
    )
    coefficients: tuple[tuple[float, ...], ...] = Field(
        (), description="fitted, do not set: coefficients of each column, one per member"
    )
    intercepts: tuple[float, ...] = Field((), description="fitted, do not set: one intercept per column")

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        fits = [
            self._fit_column(members[:, :, at].astype(np.float64).T, truth[:, at].astype(np.float64))
            for at in range(truth.shape[1])
        ]
        return self.model_copy(
            update={
                "coefficients": tuple(tuple(weights.tolist()) for weights, _ in fits),
                "intercepts": tuple(constant for _, constant in fits),
            }
        )

    def _fit_column(self, inputs: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
        """Returns coefficients (M,) and constant for predictions (N, M) of true numbers (N,)."""
        from scipy.optimize import nnls

        count, mean, centre = inputs.shape[1], inputs.mean(axis=0), truth.mean()
        penalty = np.sqrt(self.l2 * len(truth) * max(float(inputs.var(axis=0).mean()), 1e-300))
        left = np.vstack([inputs - mean, penalty * np.eye(count)])
        right = np.concatenate([truth - centre, np.full(count, penalty / count)])
        weights = nnls(left, right)[0] if self.non_negative else np.linalg.lstsq(left, right, rcond=None)[0]
        return weights, float(centre - weights @ mean)

    def blend(self, members: Probabilities) -> Probabilities:
        if not self.coefficients:
            return np.asarray(members.mean(axis=0, dtype=np.float64))
        weights = np.asarray(self.coefficients)
        if weights.shape != (members.shape[2], len(members)):
            text = f"coefficients of shape {weights.shape} for {members.shape[2]} columns of {len(members)} members"
            raise ConfigError(text, code="C21")
        return np.asarray(np.einsum("mnk,km->nk", members, weights) + self.intercepts)

    def find_used(self, count: int) -> tuple[int, ...]:
        if not self.coefficients:
            return super().find_used(count)
        used = np.asarray(self.coefficients).any(axis=0)
        return tuple(np.flatnonzero(used).tolist()) or (0,)

    def restrict(self, places: Sequence[int]) -> Self:
        coefficients = tuple(tuple(row[index] for index in places) for row in self.coefficients)
        return self.model_copy(update={"coefficients": coefficients})
