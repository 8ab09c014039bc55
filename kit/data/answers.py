"""Answers: the images that share one answer of the submission, by `data.answer`, and the attributes of each answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from kit.data.folds import merge_groups
from kit.data.groups import fill_keys, nameable_columns
from kit.data.rows import SourceRows
from kit.errors import Case, DataError

if TYPE_CHECKING:
    from kit.config.models import Data
    from kit.core.arrays import Ids
    from kit.data.table import Table

MAX_LISTED_IMAGES = 4  # of an answer, in an error


def read_answers(rows: SourceRows, data: Data, answer: str, split: str) -> Ids:
    """Returns the answer of each row by `data.answer`, the column or pattern `answer`.

    Rows to predict from the sample have its ids as their answers. Raises ConfigError C07 if a column does not
    exist, DataError D30 for images without an answer.
    """
    columns = nameable_columns(rows)
    is_sample = split == "test" and data.test is None and answer not in columns and "{" not in answer
    pattern = next(iter(rows.columns)) if is_sample else answer
    hint = "write the id of an answer into each of these cells, or remove the rows"
    return fill_keys(rows, pattern, columns, "answer", answer, split, hint)


def check_same_labels(table: Table) -> None:
    """Raises DataError D89 if the competition's images of one answer have different labels."""
    if table.answers is not None:
        _refuse_unequal(
            table, table.targets(), "labels", lambda row: ", ".join(table.label_names(row)) or "no label"
        )


def check_same_weights(table: Table) -> None:
    """Raises DataError D89 if the competition's images of one answer have different weights for their score."""
    if table.answers is not None and table.weights is not None:
        weights = table.weights
        _refuse_unequal(table, weights, "weights, which the metric uses", lambda row: f"{weights[row]:g}")


def _refuse_unequal(table: Table, values: np.ndarray, what: str, text: Callable[[int], str]) -> None:
    assert table.answers is not None
    own = np.flatnonzero(table.competition_rows)
    names, first, number = np.unique(table.answers[own], return_index=True, return_inverse=True)
    differs = values[own] != values[own[first]][number]
    if differs.ndim > 1:
        differs = differs.any(axis=1)
    wrong = np.unique(number[differs])
    if not len(wrong):
        return
    order = np.argsort(number, kind="stable")
    starts = np.searchsorted(number[order], [wrong, wrong + 1])
    cases = []
    for answer, begin, end in zip(wrong, *starts, strict=True):
        rows = own[order[begin:end]].tolist()
        rows_shown = [f"{table.ids[row]} ({text(row)})" for row in _different_first(rows, values)]
        more = ", …" if len(rows) > MAX_LISTED_IMAGES else ""
        cases.append(
            Case(f"answer {str(names[answer])!r}: {', '.join(rows_shown)}{more}", split="train", code="D89")
        )
    raise DataError(
        f"the images of {len(wrong)} of {len(names)} answers have different {what}",
        code="D89",
        cases=cases,
        hint="correct the table, or name the column of the sample's ids in data.answer",
    )


def _different_first(rows: Sequence[int], values: np.ndarray) -> list[int]:
    """Returns some of an answer's rows: the first, then one that differs from it, then the rest."""
    unequal = [row for row in rows if not np.array_equal(values[row], values[rows[0]])]
    rest = [row for row in rows[1:] if row != unequal[0]]
    return [rows[0], unequal[0], *rest][:MAX_LISTED_IMAGES]


def answer_table(table: Table) -> Table:
    """Returns a row per answer, sorted by its id, or the table itself if each image is its own answer.

    A row has the first of its images. Rows of other sources, which are not scored, are left out. Groups that
    share an answer are one group. The frame has the columns that are equal within each answer.
    """
    if table.answers is None:
        return table
    own = table.take(np.flatnonzero(table.competition_rows)) if table.sources is not None else table
    assert own.answers is not None
    names, first, number = np.unique(own.answers, return_index=True, return_inverse=True)
    groups = None
    if own.groups is not None:
        groups = own.groups[merge_groups(own.groups, number)[first]]
    shared = [
        column
        for column in own.frame.columns
        if (own.frame[column].to_numpy()[first][number] == own.frame[column].to_numpy()).all()
    ]
    rows = own.take(first)
    return replace(rows, ids=names, answers=None, sources=None, groups=groups, frame=rows.frame[shared])


def first_images(table: Table, answers: Ids) -> np.ndarray:
    """Returns the position of the first image of each of these answers in the table, int64."""
    assert table.answers is not None
    at = {name: row for row, name in reversed(list(enumerate(table.answers.tolist())))}
    return np.array([at[name] for name in answers.tolist()], dtype=np.int64)
