"""Areas of parts of the ROC curve, and metrics of curves with an option for the positive class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError, InvalidError
from kit.plugins.metric._class_options import check_names, class_numbers
from kit.plugins.metric._multi_label import MeanOverClasses, Weighted

Roc = tuple[np.ndarray, np.ndarray]  # true and false positive rates, both from 0 to 1


class PositiveClassCurve(MeanOverClasses):
    """The mean over classes of a number of their curves, or the number of the curve of `positive`."""

    wants = ("classes",)
    need_others = True

    positive: tuple[str, ...] = Field(
        (),
        description="classes that count as positive together; by default the second of two, else each in turn",
    )

    def check_context(self) -> None:
        check_names(self.positive, self.context.classes, "positive")
        if self.positive and self.context.multi_label:
            raise ConfigError(
                "metric.positive needs one label per row, and rows may have several labels",
                code="C47",
                hint="the metric mean scores some of the columns alone: metric=mean",
            )

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Weighted:
        if not self.positive:
            return super().score_by_weights(truth, probabilities)
        numbers = class_numbers(self.positive, self.context.classes)
        curve = self.curve(np.isin(truth, numbers), probabilities[:, numbers].sum(axis=1, dtype=np.float64))

        def score(weights: np.ndarray) -> float:
            area = curve(weights)
            if np.isnan(area):
                raise InvalidError(f"{self.error_name} needs {self.undrawn}", code="D45")
            return area

        return score


def roc_by_weights(positive: np.ndarray, shares: np.ndarray) -> Callable[[np.ndarray], Roc | None]:
    """Returns the ROC curve as a function of the rows' weights, from the highest probability down.

    It is None for one class.
    """
    order = np.argsort(-shares, kind="stable")
    values, kind = shares[order], positive[order].astype(np.float64)
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))

    def curve(weights: np.ndarray) -> Roc | None:
        by_rank = weights[order].astype(np.float64)
        yes = np.add.reduceat(by_rank * kind, starts)
        no = np.add.reduceat(by_rank, starts) - yes
        if not (yes.sum() > 0 and no.sum() > 0):
            return None
        return _rates(yes), _rates(no)

    return curve


def _rates(counts: np.ndarray) -> np.ndarray:
    """Returns the share of counts down to each position, from 0 before the first to 1."""
    rates = np.zeros(len(counts) + 1)
    np.cumsum(counts, out=rates[1:])
    rates /= rates[-1]
    return rates


def area_between(roc: Roc, low: float, high: float) -> float:
    """Returns the area right of the curve between two true positive rates: the integral of 1 - FPR over the TPR.

    Points at `low` and `high` are interpolated. It is at most high - low.
    """
    # the points around the band: others add nothing
    around = slice(
        max(int(np.searchsorted(roc[0], low, "right")) - 1, 0), int(np.searchsorted(roc[0], high)) + 1
    )
    tpr, fpr = roc[0][around], roc[1][around]
    begin, end = (np.clip(tpr[places], low, high) for places in (slice(None, -1), slice(1, None)))
    rise = np.diff(tpr)
    slope = np.where(rise > 0, np.diff(fpr) / np.where(rise > 0, rise, 1), 0.0)
    first, last = (fpr[:-1] + slope * (part - tpr[:-1]) for part in (begin, end))
    area = float(((end - begin) * (1 - (first + last) / 2)).sum())
    return min(max(area, 0.0), high - low)
