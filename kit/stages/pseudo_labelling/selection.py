"""FoldSelection: the test rows that a fold's student learns from, and the rule's accuracy on rows with known labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kit.data.predictions import Predictions
from kit.errors import InvalidError
from kit.kinds.targets import Target
from kit.stages.pseudo_labelling.estimate import Estimate, estimate
from kit.stages.pseudo_labelling.rule import Rule
from kit.stages.pseudo_labelling.teachers import TeacherPredictions, Teachers

MAX_SHARE_RATIO = 2.0  # a share is far from the prior if it is this many times the prior, or this part of it
MIN_EXPECTED_ROWS = 5  # expected rows of a class by the prior, below which its share is not evaluated


@dataclass(frozen=True, eq=False)
class SelectedRows:
    """The predictions of one fold's teachers for the test rows, and the rows that the rule selects."""

    fold: int
    predicted: TeacherPredictions
    taken: np.ndarray  # (N,) bool
    related: int  # rows left out, because they are related to rows that the fold holds out

    def predictions(self, classes: Sequence[str], target: Target) -> Predictions:
        """Returns the selected rows, as the fold's."""
        return as_predictions(self.predicted, self.fold, classes, target).take(self.taken)


@dataclass(frozen=True, eq=False)
class FoldSelection(SelectedRows):
    """Selected rows of classes, and the accuracy of such labels on held-out rows."""

    held_out: Estimate

    @property
    def assigned_class(self) -> np.ndarray:
        """The predicted class of each selected row."""
        return np.asarray(self.predicted.probabilities[self.taken].argmax(axis=1))

    @property
    def confidence(self) -> np.ndarray:
        """The probability of that class."""
        return np.asarray(self.predicted.probabilities[self.taken].max(axis=1))


def as_predictions(
    predicted: TeacherPredictions, fold: int, classes: Sequence[str], target: Target
) -> Predictions:
    """Returns teachers' predictions, as predictions of a fold."""
    folds = np.full(len(predicted.ids), fold)
    return Predictions(predicted.ids, folds, tuple(classes), predicted.probabilities, target=target)


def select_fold_rows(
    teachers: Teachers, rule: Rule, fold: int, ids: np.ndarray, usable: np.ndarray, related: np.ndarray
) -> FoldSelection:
    """Selects one fold's pseudo-labelled rows from the test rows `ids`.

    `usable` rows (N,) have an image, `related` (N,) belong to held-out rows. Raises InvalidError D49 if the
    rule selects no row.
    """
    prior, predicted = teachers.table.prior(), teachers.of_test(fold, ids)
    rows = np.flatnonzero(usable & ~related)
    selected = np.zeros(len(ids), bool)
    selected[rows[rule.select(predicted.probabilities[rows], predicted.unanimous[rows], prior)]] = True
    if not selected.any():
        surest = predicted.probabilities[rows].max(initial=0.0)
        raise InvalidError(
            f"no test row is selected for fold {fold}: the most confident of {len(rows)} has "
            f"{surest:.3f}, and the threshold is "
            f"{rule.least:g}{' if all teachers agree' if rule.unanimous else ''}",
            code="D49",
            hint=rule.looser(),
        )
    held_out = teachers.of_held_out(fold)
    truth = teachers.table.targets()[teachers.table.index_of(held_out.ids)]
    is_selected = rule.select(held_out.probabilities, held_out.unanimous, prior)
    held_estimate = estimate(held_out.probabilities.argmax(axis=1), truth, is_selected, len(prior))
    return FoldSelection(fold, predicted, selected, int((related & usable).sum()), held_estimate)


@dataclass(frozen=True)
class ClassShare:
    """One class among the selected rows: how many per fold, its share and prior, and such labels' accuracy
    out of fold.
    """

    name: str
    rows: float
    share: float
    prior: float
    accuracy: float | None


def class_shares(
    selections: Sequence[FoldSelection], classes: Sequence[str], prior: np.ndarray
) -> tuple[ClassShare, ...]:
    """Returns the shares of classes among the selected rows, in the order of `classes`."""
    assigned = np.concatenate(
        [np.empty(0, np.int64), *(selection.assigned_class for selection in selections)]
    )
    counts = np.bincount(assigned, minlength=len(classes)) if selections else np.empty(0)
    known = sum((selection.held_out for selection in selections), Estimate.is_empty(len(classes))).by_class
    return tuple(
        ClassShare(
            classes[k],
            count / len(selections),
            count / len(assigned),
            float(prior[k]),
            known[k][1] / known[k][0] if known[k][0] else None,
        )
        for k, count in enumerate(counts.tolist())
    )


def find_shifted_classes(shares: Sequence[ClassShare], rows: float) -> list[ClassShare]:
    """Returns the classes whose share is far from their prior; `rows` is the number of selected rows per fold."""
    return [
        class_share
        for class_share in shares
        if max(class_share.prior, class_share.share) * rows >= MIN_EXPECTED_ROWS
        and (
            class_share.share > MAX_SHARE_RATIO * class_share.prior
            or MAX_SHARE_RATIO * class_share.share < class_share.prior
        )
    ]
