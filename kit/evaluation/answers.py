"""Answers of several images: an aggregator joins their predictions, or each image gets its answer's prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from kit.data.predictions import Predictions
from kit.errors import Case, InvalidError
from kit.evaluation.crossfit import cross_fit
from kit.kinds import Aggregator, AnswerImages

if TYPE_CHECKING:
    from kit.core.arrays import Targets
    from kit.data.table import Table


def join_test_images(predictions: Predictions, images: Table, fitted: Aggregator) -> Predictions:
    """Returns predictions of the answers of the rows to predict, one row per answer and fold.

    `images` is the test table.

    Raises InvalidError D41 for predictions of rows that the table lacks.
    """
    if images.answers is None or not len(predictions):
        return predictions
    at = {name: row for row, name in enumerate(images.ids.tolist())}
    unknown = [name for name in dict.fromkeys(predictions.ids.tolist()) if name not in at]
    if unknown:
        raise InvalidError(
            f"{len(unknown)} predicted images are not in the test table, so their answers are unknown",
            code="D41",
            cases=[Case("is not in the test table", id=name, code="D41") for name in unknown],
            hint="restore the test table of the runs, and the image folders if they define rows",
        )
    rows = np.array([at[name] for name in predictions.ids.tolist()], dtype=np.int64)
    return JoinedRows.of(predictions, images.answers[rows]).predictions(predictions, fitted)


@dataclass(frozen=True, eq=False)
class JoinedRows:
    """The images of each answer and fold, sorted by answer, then fold."""

    names: np.ndarray  # (rows,) of str: the answer
    folds: np.ndarray  # (rows,) int64
    images: AnswerImages

    @classmethod
    def of(cls, predictions: Predictions, answers: np.ndarray) -> Self:
        """Returns the rows of predictions for these answers, (N,)."""
        names, number = np.unique(answers, return_inverse=True)
        folds, fold = np.unique(predictions.folds, return_inverse=True)
        pairs, row = np.unique(number.astype(np.int64) * len(folds) + fold, return_inverse=True)
        images = AnswerImages.of(predictions.probabilities, row)
        return cls(names[pairs // len(folds)], folds[pairs % len(folds)], images)

    def first_folds(self) -> np.ndarray:
        """Returns the first fold of each row's answer, so that repeats of one answer stay together."""
        _, first, number = np.unique(self.names, return_index=True, return_inverse=True)
        return np.asarray(self.folds[first][number])

    def predictions(self, predictions: Predictions, recipe: Aggregator) -> Predictions:
        """Returns predictions of these rows by an aggregator."""
        return self.with_shares(predictions, self.images.join(recipe.combine))

    def with_shares(self, predictions: Predictions, shares: np.ndarray) -> Predictions:
        """Returns predictions of these rows, with the other fields of `predictions`."""
        return replace(
            predictions,
            ids=self.names,
            folds=self.folds.astype(np.int64),
            probabilities=shares.astype(np.float32),
        )

    def cross_fit(
        self, predictions: Predictions, recipe: Aggregator, rows: Table
    ) -> tuple[Predictions, Aggregator]:
        """Returns predictions of these rows by an aggregator that was not fitted on them, and the one fitted on all.

        `rows` are the answers. Raises InvalidError if they are too few.
        """
        shares, fitted = cross_fit(
            _Joining(recipe), self.images, rows.targets(), self.first_folds(), rows.groups
        )
        return self.with_shares(predictions, shares), fitted.recipe


@dataclass(frozen=True)
class _Joining:
    """An aggregator in the form for `cross_fit`: one member, whose rows are the images of answers."""

    recipe: Aggregator

    def fit(self, images: AnswerImages, truth: Targets) -> Self:
        return replace(self, recipe=self.recipe.fit(images, truth))

    def blend(self, images: AnswerImages) -> np.ndarray:
        return images.join(self.recipe.combine)

    def take_rows(self, rows: np.ndarray) -> Self:
        return replace(self, recipe=self.recipe.take_rows(rows))


def expand_to_images(predictions: Predictions, images: Table, wanted: Sequence[str]) -> Predictions:
    """Returns each image with the prediction of its answer, if the sample's ids are images; else the answers unchanged.

    `images` is the test table, `wanted` the sample's ids. Predictions have one row per answer and fold.
    """
    if images.answers is None or set(wanted) <= set(images.answers.tolist()):
        return predictions
    if not set(wanted) <= set(images.ids.tolist()):
        return predictions
    of_answer = dict(zip(images.ids.tolist(), images.answers.tolist(), strict=True))
    parts = []
    for fold in np.unique(predictions.folds):
        part = predictions.take(predictions.folds == fold)
        at = {name: row for row, name in enumerate(part.ids.tolist())}
        known = [name for name in images.ids.tolist() if of_answer[name] in at]
        rows = np.array([at[of_answer[name]] for name in known], dtype=np.int64)
        parts.append(replace(part.take(rows), ids=np.array(known, dtype=str)))
    return replace(
        predictions,
        ids=np.concatenate([part.ids for part in parts]),
        folds=np.concatenate([part.folds for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
    )
