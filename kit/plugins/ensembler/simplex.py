"""Simplex: the weights of 0 or more and sum 1 with the best out-of-fold score."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.evaluation.hill_climbing import climb
from kit.kinds import Metric
from kit.kinds.metric_shortcuts import true_class_probability
from kit.kinds.several_target import SeveralTarget
from kit.plugins.ensembler._weights import WeightedMean, metric_or_usual

MIN_WEIGHT = 1e-5  # smaller weights are 0
STEP_SIZES = (0.2, 0.1, 0.05, 0.02, 0.01)
MIN_GAIN = 1e-9
MOVES = 100  # of a size


class Simplex(WeightedMean):
    """Weights that sum to 1 and minimise the mean's log loss, or that a pattern search finds for the metric.

    For numbers it is the squared error, in units of each column's variance. Both are convex in the weights,
    so sequential quadratic programming finds the best ones. For the metric the search starts from there. It
    moves the weight of one member at a time by ever smaller steps while that improves the score.

    Source: stacked density estimation, Smyth and Wolpert 1999, equation 5; Kim et al. 2020, "mixsqp"; Hooke and
    Jeeves 1961, "Direct Search".
    """

    fitted: ClassVar[bool] = True

    objective: Literal["log_loss", "metric"] = Field(
        "log_loss", description="objective of the weights; for numbers, log_loss is the squared error"
    )
    metric: Metric | None = Field(
        None, description="metric of the objective `metric`; null: the competition's"
    )

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        weights = self._start(members, truth)
        if self.objective == "metric":
            weights = search_weights(
                metric_or_usual(self.metric, members, truth, self.target), members, truth, weights
            )
        return self.model_copy(update={"weights": tuple(weights.tolist())})

    def _start(self, members: Probabilities, truth: Targets) -> np.ndarray:
        """Returns the weights (M,) with the lowest log loss, for numbers with the lowest squared error."""
        if isinstance(self.target, SeveralTarget):
            return self._start_of_parts(members, truth, self.target)
        if self.target.kind == "soft":
            given = np.stack([member.ravel() for member in members]).astype(np.float64)
            return least_log_loss(given, truth.ravel())
        if self.target.has_classes:
            shares = [true_class_probability(truth, member).ravel() for member in members]
            return least_log_loss(np.stack(shares))
        scale = np.maximum(truth.std(axis=0), 1e-300)
        errors = [((member - truth) / scale).ravel() for member in members]
        return least_squares(np.stack(errors))

    def _start_of_parts(self, members: Probabilities, truth: Targets, target: SeveralTarget) -> np.ndarray:
        """Returns the same for parts, without missing labels.

        If some parts are numbers, it minimises the squared error of all columns.
        """
        missing = target.find_missing(truth)
        if not target.is_probability:
            scale = np.maximum(np.nanstd(truth, axis=0), 1e-300)
            errors = [np.where(missing, 0, (member - truth) / scale).ravel() for member in members]
            return least_squares(np.stack(errors))
        binary = np.concatenate(
            [np.full(part.place.stop - part.place.start, part.kind == "sigmoid") for part in target.layout]
        )
        yes, no = np.where(missing, 0, truth), np.where(missing | ~binary, 0, 1 - truth)
        shares = [np.concatenate([member.ravel(), 1 - member.ravel()]) for member in members]
        counts = np.concatenate([yes.ravel(), no.ravel()])
        return least_log_loss(np.stack(shares).astype(np.float64), counts)


def least_squares(errors: np.ndarray) -> np.ndarray:
    """Returns the weights (M,) whose mean of errors (M, N) has the lowest mean square."""
    products = errors @ errors.T / errors.shape[1]
    products /= max(float(np.trace(products)) / len(products), 1e-300)

    def cost(weights: np.ndarray) -> tuple[float, np.ndarray]:
        return float(weights @ products @ weights), 2 * products @ weights

    return _minimise(cost, len(errors))


def least_log_loss(shares: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Returns the weights (M,) with the lowest mean of -log(weights @ shares), of true classes' probabilities (M, N).

    Each of the N has the weight `counts` (N,), by default 1.
    """
    if counts is not None:
        shares, counts = shares[:, counts > 0], counts[counts > 0]
    shares = np.maximum(shares, 1e-15)

    def cost(weights: np.ndarray) -> tuple[float, np.ndarray]:
        blended = np.maximum(weights @ shares, 1e-300)
        if counts is None:
            return float(-np.log(blended).mean()), -(shares @ (1 / blended)) / len(blended)
        return float(-np.average(np.log(blended), weights=counts)), -(
            shares @ (counts / blended)
        ) / counts.sum()

    return _minimise(cost, len(shares))


def _minimise(cost: Callable[[np.ndarray], tuple[float, np.ndarray]], count: int) -> np.ndarray:
    """Returns the weights (count,), of 0 or more and sum 1, with the lowest convex cost, given with its gradient."""
    from scipy.optimize import minimize

    solution = minimize(
        cost,
        np.full(count, 1 / count),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-12, "maxiter": 500},
    ).x
    weights = np.where(solution < MIN_WEIGHT, 0, solution)
    weights /= weights.sum()
    return weights


def search_weights(metric: Metric, members: Probabilities, truth: Targets, start: np.ndarray) -> np.ndarray:
    """Returns weights (M,) from a pattern search: the best single step of a size is taken while it improves,
    then a smaller one.
    """
    sums, weights = climb(metric, members, truth), start.copy()
    for member in np.flatnonzero(start).tolist():
        sums.add(member, float(start[member]))
    best = float(sums.costs(0.0, [0])[0])
    for step in STEP_SIZES:
        for _ in range(MOVES):
            up, down = sums.costs(step), np.full(len(members), np.inf)
            able = np.flatnonzero(weights > step + MIN_WEIGHT).tolist()
            if able and weights.sum() > 2 * step:
                down[able] = sums.costs(-step, able)
            costs = np.concatenate([up, down])
            index = int(costs.argmin())
            if costs[index] > best - MIN_GAIN:
                break
            best = float(costs[index])
            member, share = index % len(members), step if index < len(members) else -step
            sums.add(member, share)
            weights[member] += share
    weights /= weights.sum()
    return weights
