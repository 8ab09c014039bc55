"""Stacking: a logistic regression that learns from the members' logits."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError
from kit.plugins.ensembler._stacked import LogitStacking, log_probability_features, softmax


class Stacking(LogitStacking):
    """Regularised logistic regression on the members' log probabilities, each centred per row.

    It has a coefficient for every pair of classes and every member, so it needs many rows per class. A class
    that the fitted rows lack keeps the members' mean probability. The coefficients are stored, so only numpy
    is needed to apply them.

    Source: Wolpert 1992, "Stacked Generalization"; sklearn.linear_model.LogisticRegression.
    """

    inverse_l2: float = Field(
        0.03, gt=0, description="inverse strength of the L2 penalty; smaller is smoother"
    )
    weights_of: tuple[tuple[float, ...], ...] = Field(
        (), description="fitted, do not set: weights (M, K) of each of these classes"
    )
    intercepts: tuple[float, ...] = Field((), description="fitted, do not set: one intercept per class")

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

        present = np.unique(truth)
        if len(present) < 2:  # only one class
            return self.model_copy(update={"classes": (), "weights_of": (), "intercepts": ()})
        with threadpool_limits(
            1
        ):  # the products are small: threads that wait for each other cost up to 90 times more
            model = LogisticRegression(C=self.inverse_l2, tol=1e-3, max_iter=2000).fit(
                log_probability_features(members), truth
            )
        weights, intercepts = model.coef_, model.intercept_
        if len(present) == 2:  # one row of coefficients stands for both: half of the difference each
            weights, intercepts = (
                np.concatenate([-weights, weights]) / 2,
                np.concatenate([-intercepts, intercepts]) / 2,
            )
        return self.model_copy(
            update={
                "classes": tuple(present.tolist()),
                "weights_of": tuple(map(tuple, weights.tolist())),
                "intercepts": tuple(intercepts.tolist()),
            }
        )

    def shares(self, members: Probabilities) -> Probabilities:
        weights = np.asarray(self.weights_of)
        if weights.shape[1] != len(members) * members.shape[2]:
            text = f"coefficients for {weights.shape[1]} inputs, not {len(members)} x {members.shape[2]}"
            raise ConfigError(text, code="C21")
        return softmax(log_probability_features(members) @ weights.T + self.intercepts)
