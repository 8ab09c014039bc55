"""Cohen's kappa: agreement of true and predicted classes beyond that of their marginal counts; quadratic: QWK."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from kit.data.csv_file import is_number
from kit.errors import ConfigError
from kit.plugins.metric._class_options import check_names
from kit.plugins.metric._decisions import DecisionMetric, Weighted


class CohenKappa(DecisionMetric):
    """Agreement of true and predicted classes beyond chance, from -1 to 1; with quadratic weights QWK.

    Kappa is 1 - sum(w O) / sum(w E). O counts true and predicted classes, and E is the expected count from
    their margins. w is 0 for the right class. Otherwise it is 1 (`weights=none`), |i - j| (linear) or (i -
    j)^2 (quadratic), where i and j are ranks of grades. Grades rank by the number in their names, or as
    `order` lists them. Kappa is 0 for a constant prediction of rows of several classes; 1 if all rows and
    predictions are of the same class.

    If a row may have several labels, each row and class is one yes or no, and `weights` must be none.

    Source: sklearn.metrics.cohen_kappa_score; quadratic is the metric of Diabetic Retinopathy Detection, APTOS 2019 and
    PANDA.
    """

    label_kinds = ("class_index", "multi_hot")
    limits = (-1, 1)
    wants = ("classes",)

    weights: Literal["none", "linear", "quadratic"] = Field(
        "none", description="cost of a wrong grade by its distance; quadratic: QWK"
    )
    order: tuple[str, ...] = Field(
        (), description="the classes from the lowest grade to the highest, if their names are not numbers"
    )

    def check_context(self) -> None:
        classes = self.context.classes
        check_names(self.order, classes, "order")
        if self.order and sorted(self.order) != sorted(classes):
            missing = [name for name in classes if name not in self.order] or ["a class twice"]
            raise ConfigError(
                f"metric.order must list each class once; it has {len(self.order)} names for {len(classes)} classes",
                code="C47",
                hint=f"missing: {', '.join(missing[:5])}",
            )
        if self.weights == "none":
            return
        if self.context.multi_label:
            raise ConfigError(
                f"metric.weights {self.weights} needs one grade per row, and rows may have several labels",
                code="C47",
                hint="metric=cohen_kappa metric.weights=none",
            )
        if not self.order and not all(is_number(name) for name in classes):
            example = next(name for name in classes if not is_number(name))
            raise ConfigError(
                f"metric.weights {self.weights} needs an order of the grades, and {example!r} is not a number",
                code="C47",
                hint="list the classes in metric.order, from the lowest grade to the highest",
            )

    def weigh_labels(self, true: np.ndarray, predicted: np.ndarray) -> Weighted:
        cells = [(one & other).sum(axis=1) for one in (~true, true) for other in (~predicted, predicted)]
        unweighted = np.array([[0.0, 1.0], [1.0, 0.0]])
        return lambda weights: _kappa(np.array([weights @ cell for cell in cells]).reshape(2, 2), unweighted)

    def of_confusion(self, counts: np.ndarray) -> float:
        return _kappa(counts, self._costs(len(counts)))

    def _costs(self, classes: int) -> np.ndarray:
        ranks = self._ranks(classes)
        apart = np.abs(ranks[:, None] - ranks)
        powers: dict[str, np.ndarray] = {"none": apart > 0, "linear": apart, "quadratic": apart**2}
        return powers[self.weights].astype(np.float64)

    def _ranks(self, classes: int) -> np.ndarray:
        """Returns the rank of each class among the grades, or class numbers if the classes have no names yet."""
        names = self.context.classes
        if len(names) != classes or self.weights == "none":
            return np.arange(classes)
        if self.order:
            return np.array([self.order.index(name) for name in names])
        return np.argsort(np.argsort([float(name) for name in names], kind="stable"))


def _kappa(counts: np.ndarray, costs: np.ndarray) -> float:
    rows = counts.sum()
    expected = float((costs * np.outer(counts.sum(axis=1), counts.sum(axis=0))).sum() / rows)
    observed = float((costs * counts).sum())
    # all rows and predictions are of the same class, so they cannot disagree
    return max(1 - observed / expected, -1.0) if expected > 0 else 1.0
