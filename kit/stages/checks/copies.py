"""Finds copies of images, identical or nearly so, that bias a score or have contradicting labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kit.data.folds import Folds
from kit.data.groups import AUTO_GROUP_FILES
from kit.data.table import Table
from kit.errors import Case
from kit.kinds import Splitter
from kit.kinds.advice import keep_whole
from kit.stages.checks.finding import Finding, Level

PROBLEM_SHARE = 0.005  # of the rows with a copy on the other side are a problem, fewer a warning


def check_copy_labels(train: Table, pairs: np.ndarray, same: np.ndarray) -> Iterator[Finding]:
    """Yields copies with other labels: K04 for byte-identical files, K07 for similar images.

    `pairs` (pairs, 2) are rows of train, `same` (pairs,) whether their files are equal.
    """
    differ = np.array([train.label_names(a) != train.label_names(b) for a, b in pairs.tolist()], bool)
    exact, near = pairs[differ & same], pairs[differ & ~same]
    if len(exact):
        yield Finding(
            "K04",
            "problem",
            f"{len(exact)} pairs of identical training images have different labels",
            "one of the two labels is wrong: the loss gets contradictory targets, and no model can "
            "predict both correctly",
            "correct the labels in data.train",
            _different_labels(train, exact),
        )
    if len(near):
        yield Finding(
            "K07",
            "warning",
            f"{len(near)} pairs of near-duplicate training images have different labels",
            "if they show the same thing, one of the two labels is wrong",
            "review them: kit check --json lists all",
            _different_labels(train, near),
        )


def _different_labels(train: Table, pairs: np.ndarray) -> tuple[Case, ...]:
    return tuple(
        Case(
            " = ".join(
                f"{train.ids[row]} ({', '.join(train.label_names(row)) or 'no label'})" for row in pair
            )
        )
        for pair in pairs.tolist()
    )


def check_copies_across_folds(
    train: Table, pairs: np.ndarray, folds: Folds, splitter: Splitter, group: str | None
) -> Iterator[Finding]:
    """Yields K05: copies of which a fold trains on one and is scored on the other.

    Rows of `folds` are those of train.

    `group` is data.group, which the fix does not repeat.
    """
    torn = np.zeros(len(pairs), bool)
    for fold in range(folds.count):
        is_held_out, trained = folds.oof_mask(fold), folds.training_mask(splitter, fold)
        one, other = pairs.T
        torn |= (is_held_out[one] & trained[other]) | (is_held_out[other] & trained[one])
    if not torn.any():
        return
    rows = len(np.unique(pairs[torn]))
    level: Level = "problem" if rows >= PROBLEM_SHARE * len(train) else "warning"
    yield Finding(
        "K05",
        level,
        f"{int(torn.sum())} pairs of near-duplicates ({rows} rows) are split between training and "
        "held-out rows",
        f"up to {rows / len(train):.1%} of the rows are scored by a model that was trained on their "
        "copy, so the cross-validated score is optimistic",
        _answer(group, splitter, train),
        tuple(Case(" = ".join(train.ids[pair])) for pair in pairs[torn]),
    )


def _answer(group: str | None, splitter: Splitter, train: Table) -> str:
    """Returns the setting that keeps copies in one fold: found groups, or one value of the column with the
    present groups.
    """
    if group is None:
        return keep_whole("auto", group, splitter, train.label_kind)
    if group in AUTO_GROUP_FILES:  # it was made before, or by hand
        file = AUTO_GROUP_FILES[group]
        return (
            keep_whole(group, group, splitter, train.label_kind)
            or f"delete {file}; kit check creates it again"
        )
    return f"give the rows of a pair the same value of data.group ({group}), or remove one of them"


def check_copies_in_test(train: Table, test: Table, pairs: np.ndarray, same: np.ndarray) -> Iterator[Finding]:
    """Yields K06: training images that are also in the test set. `pairs` are rows of train and rows of test."""
    if not len(pairs):
        return
    exact, rows = int(same.sum()), len(np.unique(pairs[:, 1]))
    yield Finding(
        "K06",
        "warning",
        f"{rows} of {len(test)} test images are copies of training images, {exact} byte for byte",
        f"the labels of {rows / len(test):.1%} of the test rows are known: the leaderboard score may be "
        "higher than the cross-validated score; the rules may require a report",
        "nothing: check the competition's rules on leaks",
        tuple(Case(f"train {train.ids[a]} = test {test.ids[b]}") for a, b in pairs.tolist()),
    )
