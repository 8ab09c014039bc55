"""Groups: columns, folders and prefixes of ids with values that rows share, as photos of one person do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from kit.data.folds import Folds
from kit.data.groups import derive_columns
from kit.data.table import Table
from kit.errors import Case
from kit.kinds import Splitter
from kit.kinds.advice import keep_whole
from kit.stages.checks.finding import Finding

MIN_SHARED = 0.9  # minimum share of rows that share their value with another row
MAX_GROUP_SHARE = 0.05  # maximum share of rows with one value: a camera or a site is not a person
MIN_ROWS = 10  # a table with fewer rows is too small


def check_group_columns(
    train: Table, folds: Folds, splitter: Splitter, group_pattern: str | None, left_out: Sequence[str]
) -> Iterator[Finding]:
    """Yields K09 for possible groups that the folds split. `left_out` are the columns of the id, the label ..."""
    torn = {
        name: values
        for name, values in _candidates(train, left_out).items()
        if _is_torn(values, folds, splitter)
    }
    if not torn:
        return
    name = min(torn, key=lambda name: len(set(torn[name].tolist())))
    values, counts = np.unique(torn[name], return_counts=True)
    most = values[counts == np.median(counts).astype(int)]
    example = str(most[0] if len(most) else values[counts.argmax()])
    size = int(counts[values == example][0])
    pattern = name if name in train.frame.columns else f"{{{name}}}"
    answer = keep_whole(pattern, group_pattern, splitter, train.label_kind)
    if group_pattern is not None:
        answer += f" (instead of data.group={group_pattern})"
    yield Finding(
        "K09",
        "warning",
        f"{size} images share {name} {example!r}, one of {len(values)} groups that the folds separate: "
        "is each a person, an object or a location?",
        "if so, models are scored on groups that they were trained on, and the cross-validated score is "
        "optimistic",
        answer,
        tuple(Case(f"{len(set(groups.tolist()))} groups", other) for other, groups in torn.items()),
    )


def _candidates(train: Table, left_out: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns columns and derived names with many values, nearly all of them shared by some rows and none by many."""
    columns: Mapping[str, Sequence[str]] = {
        **{str(name): train.frame[name].astype(str).tolist() for name in train.frame.columns},
        **derive_columns(train.ids.tolist(), train.paths),
    }
    candidates = {
        name: np.asarray(values, dtype=str) for name, values in columns.items() if name not in left_out
    }
    return {name: values for name, values in candidates.items() if _is_group(values, train)}


def _is_group(values: np.ndarray, train: Table) -> bool:
    _, group_of_row, counts = np.unique(values, return_inverse=True, return_counts=True)
    shared = counts[group_of_row] > 1
    return bool(
        shared.mean() >= MIN_SHARED
        and counts.max() <= max(MAX_GROUP_SHARE * len(values), MIN_ROWS)
        and len(counts) > 2 * len(train.classes)
    )


def _is_torn(values: np.ndarray, folds: Folds, splitter: Splitter) -> bool:
    return any(
        bool(set(values[folds.oof_mask(fold)]) & set(values[folds.training_mask(splitter, fold)]))
        for fold in range(folds.count)
    )
