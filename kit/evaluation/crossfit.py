"""cross_fit: scores a fit on out-of-fold rows by rows that it was not fitted on.

Everything that learns from out-of-fold predictions uses it: weights, fusion, temperature, thresholds, a
choice of views. So scores are unbiased, and stages can be stacked.
"""

from __future__ import annotations

from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import numpy as np

from kit.core.arrays import FoldNumbers, Probabilities, Targets
from kit.core.memmaps import drop_pages
from kit.core.randomness import generator
from kit.errors import InvalidError
from kit.kinds.score_context import ScoreContext

CROSS_FIT_PARTS = 5  # of the rows, if all were held out by one fold


class Recipe(Protocol):
    """A recipe that learns from predictions and truth, such as an ensembler."""

    def fit(self, members: Any, truth: Targets) -> Self: ...

    def blend(self, members: Any) -> np.ndarray: ...


class TakesRows(Protocol):
    """Row information other than an array of members, such as neighbours."""

    def take(self, rows: np.ndarray) -> Self: ...


@runtime_checkable
class KnowsRows(Protocol):
    """A recipe whose metric has a context of single rows, such as their groups, which must match the rows."""

    def take_rows(self, rows: np.ndarray) -> Self: ...


@runtime_checkable
class FinishesRows(Protocol):
    """A recipe that changes related rows after they are blended, by their context."""

    def blend_rows(self, members: Any) -> np.ndarray: ...

    def row_context(self) -> ScoreContext | None: ...

    def with_known(self, **values: Any) -> Self: ...


@runtime_checkable
class MemberSelection(Protocol):
    """A recipe that chooses among recipes by its own cross-fitting, and so needs the groups of rows."""

    def choose(
        self, members: Probabilities, truth: Targets, folds: FoldNumbers, groups: np.ndarray | None
    ) -> Self: ...


R = TypeVar("R", bound=Recipe)


def cross_fit(
    recipe: R,
    oof: np.ndarray | TakesRows,
    truth: Targets,
    folds: FoldNumbers,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, R]:
    """Returns cross-fitted predictions (N, K), and the recipe fitted on all rows, which is for the test rows.

    `oof` is (M, N, K), or whatever rows the recipe reads, `truth` class numbers (N,), `folds` (N,) the fold
    that held a row out. Each fold's rows are predicted by the recipe fitted on the others'. If all rows are
    of one fold, they are cut into five parts, which keep `groups` (N,) whole. Raises InvalidError (D46) for
    rows that cannot be cut.
    """
    if not len(truth):
        raise InvalidError(
            "no out-of-fold rows to fit on", code="D46", hint="use a run whose folds hold out rows"
        )
    whole = np.ones(len(truth), dtype=bool)
    parts = folds if len(np.unique(folds)) > 1 else _parts(len(truth), groups)
    cross_fitted: np.ndarray | None = None
    for part in np.unique(parts):
        held = parts == part
        blended = _predict(_fit(recipe, oof, truth, folds, groups, ~held), recipe, _take(oof, held), held)
        cross_fitted = np.empty((len(truth), blended.shape[1])) if cross_fitted is None else cross_fitted
        cross_fitted[held] = blended
    if cross_fitted is None:
        raise InvalidError("no out-of-fold rows to fit on", code="D46")
    return cross_fitted, _fit(recipe, oof, truth, folds, groups, whole)


def fit_without(
    recipe: R,
    oof: np.ndarray,
    truth: Targets,
    folds: FoldNumbers,
    groups: np.ndarray | None,
    held: np.ndarray,
) -> R:
    """Returns the recipe fitted on the rows of `oof` (M, N, K) that are not `held`, bool (N,).

    Raises InvalidError D46.
    """
    if held.all():
        raise InvalidError(
            "no out-of-fold rows of other folds to fit on",
            code="D46",
            hint="use an ensembler that is not fitted, such as mean",
        )
    return _fit(recipe, oof, truth, folds, groups, ~held)


def _predict(fitted: R, recipe: R, members: np.ndarray | TakesRows, rows: np.ndarray) -> np.ndarray:
    """Returns predictions of some of the rows by a fitted recipe; `recipe` knows all rows."""
    if not isinstance(fitted, FinishesRows) or not isinstance(recipe, FinishesRows):
        return fitted.blend(members)
    context = recipe.row_context()
    return (fitted if context is None else fitted.with_known(context=context.take(rows))).blend_rows(members)


def _fit(
    recipe: R,
    oof: np.ndarray | TakesRows,
    truth: Targets,
    folds: FoldNumbers,
    groups: np.ndarray | None,
    rows: np.ndarray,
) -> R:
    """Returns the recipe fitted on some of the rows."""
    members = oof if rows.all() else _take(oof, rows)
    if isinstance(recipe, KnowsRows) and not rows.all():
        recipe = recipe.take_rows(rows)
    if isinstance(recipe, MemberSelection):
        return recipe.choose(members, truth[rows], folds[rows], None if groups is None else groups[rows])
    return recipe.fit(members, truth[rows])


def _take(oof: np.ndarray | TakesRows, rows: np.ndarray) -> np.ndarray | TakesRows:
    """Returns some rows of all members. Each member's are contiguous, which numpy's own indexing does not promise."""
    numbers = np.flatnonzero(rows)
    if not isinstance(oof, np.ndarray):
        return oof.take(numbers)
    subset = np.empty((len(oof), len(numbers), *oof.shape[2:]), dtype=oof.dtype)
    for index, member in enumerate(oof):
        np.take(member, numbers, axis=0, out=subset[index])
        drop_pages(oof)  # otherwise memory would hold all rows and a copy of most rows
    return subset


def _parts(rows: int, groups: np.ndarray | None) -> np.ndarray:
    """Returns a part number per row, (N,): whole groups, assigned in an order that is always the same."""
    units = np.arange(rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(units.max()) + 1 if rows else 0
    if count < 2:
        raise InvalidError(
            f"{rows} out-of-fold rows of {count} groups are too few to split into a part to fit on and a "
            "part to score",
            code="D46",
            hint="use an ensembler that is not fitted, such as mean",
        )
    places: np.ndarray = generator(0, "cross_fit", count).permutation(count) % CROSS_FIT_PARTS
    return places[units]
