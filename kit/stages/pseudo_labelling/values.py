"""Pseudo-labels of shares and of numbers: the rows on which the teachers agree most, and the error of such labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kit.errors import ConfigError, InvalidError
from kit.kinds.label_kinds import MEANING
from kit.kinds.targets import Target
from kit.stages.pseudo_labelling.estimate import Z
from kit.stages.pseudo_labelling.rule import Rule
from kit.stages.pseudo_labelling.selection import SelectedRows
from kit.stages.pseudo_labelling.teachers import TeacherPredictions, Teachers

LEAST_SHARE = 1e-15  # predicted shares below it count as it


@dataclass(frozen=True, eq=False)
class ValueEstimate:
    """The error of labels of held-out rows: of all, and of those that the rule selects.

    The errors of rows are squared differences, meant over the columns, or KL divergences to the true shares.
    """

    measure: str  # `RMSE`, or `KL divergence`
    unit: str = ""  # of the error in words; empty for the labels' own
    all: np.ndarray = field(default_factory=lambda: np.empty(0))  # errors of held-out rows
    selected: np.ndarray = field(default_factory=lambda: np.empty(0))  # of those that the rule selects

    def __add__(self, other: ValueEstimate) -> ValueEstimate:
        """Returns the estimate of the rows of both."""
        parts = [np.concatenate(pair) for pair in ((self.all, other.all), (self.selected, other.selected))]
        return ValueEstimate(self.measure, self.unit, *parts)

    @property
    def share(self) -> float:
        """The share of selected rows."""
        return len(self.selected) / max(len(self.all), 1)

    @property
    def error(self) -> float | None:
        """The error of the selected rows; None if no row is selected."""
        return self._of(float(self.selected.mean())) if len(self.selected) else None

    @property
    def error_of_all(self) -> float | None:
        """The error of all held-out rows."""
        return self._of(float(self.all.mean())) if len(self.all) else None

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of the error in 95 of 100 such samples, by the central limit theorem; infinite for one row."""
        count = len(self.selected)
        if count < 2:
            return 0.0, math.inf
        mean = float(self.selected.mean())
        half = Z * float(self.selected.std(ddof=1)) / math.sqrt(count)
        return self._of(max(mean - half, 0.0)), self._of(mean + half)

    def to_json(self) -> dict[str, object]:
        """Returns the figures."""
        low, high = self.interval
        return {
            "measure": self.measure,
            "unit": self.unit,
            "rows": len(self.all),
            "selected": len(self.selected),
            "error": self.error,
            "interval": [low, high if math.isfinite(high) else None],
            "error_of_all": self.error_of_all,
        }

    def _of(self, mean: float) -> float:
        return math.sqrt(mean) if self.measure == "RMSE" else mean


@dataclass(frozen=True, eq=False)
class ValueSelection(SelectedRows):
    """Selected rows of shares or numbers, and the error of such labels on held-out rows."""

    held_out: ValueEstimate


def check_rule(rule: Rule, teachers: Teachers, soft: bool, rows: Sequence[str]) -> None:
    """Raises ConfigError C17 for options that need one class per row, C20 for a share of rows by one teacher."""
    kind = teachers.table.label_kind
    options = [
        *(["--threshold"] if rule.threshold else []),
        *(["--class-balanced"] if rule.class_balanced else []),
        *(["--unanimous"] if rule.unanimous else []),
        *(["--soft"] if soft and kind == "numbers" else []),
        *(["--rows train"] if "train" in rows else []),
    ]
    if options:
        raise ConfigError(
            f"{' and '.join(options)} needs one class per row, but the table has {MEANING[kind]}",
            code="C17",
            hint="--top-fraction 0.5 selects the half of the rows on which several teachers agree most",
        )
    if rule.top_fraction < 1 and len(teachers.members) < 2:
        raise ConfigError(
            "--top-fraction selects the rows on which teachers agree most, and there is one teacher",
            code="C20",
            hint="two or more runs; without --top-fraction all rows are labelled",
        )


def select_fold_values(
    teachers: Teachers, rule: Rule, fold: int, ids: np.ndarray, usable: np.ndarray, related: np.ndarray
) -> ValueSelection:
    """Selects one fold's pseudo-labelled rows from the test rows `ids`: those of the lowest deviation.

    `usable` rows (N,) have an image, `related` (N,) belong to held-out rows. Raises InvalidError D49 if no row is
    left.
    """
    predicted = teachers.of_test(fold, ids)
    rows = np.flatnonzero(usable & ~related)
    if not len(rows):
        raise InvalidError(
            f"no test row is left for fold {fold}: {int((~usable).sum())} have no image, and {int(related.sum())} "
            "are related to held-out rows",
            code="D49",
            hint="repair the images",
        )
    taken = np.zeros(len(ids), bool)
    taken[rows[lowest(predicted.deviation[rows], rule.top_fraction)]] = True
    held = teachers.of_held_out(fold)
    truth = teachers.table.targets()[teachers.table.index_of(held.ids)]
    scale = teachers.scale_of(fold) if len(teachers.table.classes) > 1 else np.ones(1)
    estimate = estimate_error(teachers.table.target, held, truth, rule.top_fraction, scale)
    return ValueSelection(fold, predicted, taken, int((related & usable).sum()), estimate)


def lowest(deviation: np.ndarray, fraction: float) -> np.ndarray:
    """Returns the positions of the share of the rows with the lowest deviation, rounded up."""
    count = math.ceil(round(fraction * len(deviation), 9))
    return np.argsort(deviation, kind="stable")[:count]


def estimate_error(
    target: Target, held: TeacherPredictions, truth: np.ndarray, fraction: float, scale: np.ndarray
) -> ValueEstimate:
    """Returns the errors of held-out rows with labels `truth` (N, K). Numbers are in units of `scale` (K,)."""
    predicted, true = held.probabilities.astype(np.float64), truth.astype(np.float64)
    selected = lowest(held.deviation, fraction)
    if target.kind == "numbers":
        errors = (((predicted - true) / scale) ** 2).mean(axis=1)
        unit = "standard deviations of the labels" if len(scale) > 1 else ""
        return ValueEstimate("RMSE", unit, errors, errors[selected])
    logs = np.log(np.maximum(true, LEAST_SHARE)) - np.log(np.maximum(predicted, LEAST_SHARE))
    errors = np.where(true > 0, true * logs, 0).sum(axis=1)
    return ValueEstimate("KL divergence", "", errors, errors[selected])
