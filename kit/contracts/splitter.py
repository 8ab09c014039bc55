"""Contract tests of splitters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from kit.contracts._parts import draw_labels, part_targets
from kit.core.randomness import generator
from kit.data.folds import make_folds
from kit.data.table import Table
from kit.kinds import Splitter
from kit.kinds.targets import PLAIN_TARGETS, LabelKind, Target

ROWS, CLASSES, GROUPS, COLUMN = 120, 4, 30, 12


def _tables(splitter: Splitter) -> list[Table]:
    """Returns a table of each kind of labels that the splitter takes."""
    one = np.arange(ROWS) % CLASSES
    several = (np.arange(ROWS)[:, None] >> np.arange(CLASSES) & 1).astype(
        np.int8
    )  # every set of labels, none too
    numbers = np.stack([np.sqrt(np.arange(ROWS)), *generator(0, "law", "numbers").normal(size=(3, ROWS))], 1)
    shares = generator(0, "law", "shares").dirichlet(np.ones(CLASSES), ROWS)
    labels: dict[LabelKind, np.ndarray] = {
        "class_index": one,
        "multi_hot": several,
        "numbers": numbers,
        "soft": shares,
    }
    drawn = [(PLAIN_TARGETS[kind], labels_of_kind) for kind, labels_of_kind in labels.items()]
    drawn += [
        (target, draw_labels(target, ROWS, generator(0, "law", *target.kinds)))
        for target in part_targets(CLASSES)
    ]
    return [
        _table(splitter, labels_of_kind, target)
        for target, labels_of_kind in drawn
        if splitter.takes_labels(target.kind)
    ]


def _table(splitter: Splitter, labels: np.ndarray, target: Target) -> Table:
    """Returns 120 rows of 4 classes, with 30 groups of unequal size if the splitter asks for groups.

    There are no files.

    The column of the splitter's option `column` has the whole numbers 0 to 11.
    """
    rng = generator(0, "law", "splitter")
    column = getattr(splitter, "column", "")
    groups = np.concatenate([np.arange(GROUPS), rng.integers(GROUPS, size=ROWS - GROUPS)])
    return Table(
        ids=np.array([f"row-{row:03d}" for row in range(ROWS)]),
        paths=tuple(Path(f"no such folder/{row}.png") for row in range(ROWS)),
        classes=tuple("abcd"),
        labels=labels,
        target=target,
        groups=np.array([f"group-{group}" for group in groups]) if splitter.asks_for_groups() else None,
        frame=pd.DataFrame({column: [str(row * COLUMN // ROWS) for row in range(ROWS)]} if column else {}),
    )


def _split(splitter: Splitter, table: Table) -> np.ndarray:
    return splitter.split(table, generator(0, "folds"))


def law_fold_numbers_are_in_range(splitter: Splitter) -> None:
    """Fold numbers are integers of shape (rows, repeats), from 0 without gaps. -1 means never held out."""
    for table in _tables(splitter):
        numbers = _split(splitter, table)
        assert numbers.ndim == 2, f"shape {numbers.shape}, not (rows, repeats)"
        assert len(numbers) == ROWS, f"{len(numbers)} rows of {ROWS}"
        assert np.issubdtype(numbers.dtype, np.integer), f"type {numbers.dtype}, not int64"
        used = np.unique(numbers[numbers >= 0]).tolist()
        assert numbers.min() >= -1, f"smallest number {numbers.min()}, not -1 or more"
        assert bool(used) == splitter.holds_out, f"holds_out is {splitter.holds_out}, {len(used)} folds"
        assert used == list(range(len(used))), f"numbers {used}, not 0 to {len(used) - 1}"


def law_a_fold_belongs_to_one_repeat(splitter: Splitter) -> None:
    """Every row is held out at most once per repeat, by a model of that repeat only."""
    for table in _tables(splitter):
        numbers = _split(splitter, table)
        for fold in np.unique(numbers[numbers >= 0]):
            columns = np.flatnonzero((numbers == fold).any(axis=0))
            assert len(columns) == 1, f"fold {fold} is in the repeats {columns.tolist()}"


def law_same_seed_same_folds(splitter: Splitter) -> None:
    """Only `rng` decides: equal seeds give equal folds in any state of the global generators."""
    state = np.random.get_state()
    for table in _tables(splitter):
        try:
            np.random.seed(1)
            first = _split(splitter, table)
            np.random.seed(2)
            second = _split(splitter, table)
        finally:
            np.random.set_state(state)
        _check_same(first, second)


def law_order_of_rows_does_not_matter(splitter: Splitter) -> None:
    """The order of the table's rows does not change the folds."""
    for table in _tables(splitter):
        shuffled = table.take(generator(1, "law", "order").permutation(ROWS))
        first, second = make_folds(table, splitter, 0), make_folds(shuffled, splitter, 0)
        _check_same(first.numbers, second.numbers)


def law_names_of_classes_and_files_do_not_matter(splitter: Splitter) -> None:
    """Image paths and class names do not change the folds."""
    for table in _tables(splitter):
        paths = tuple(Path("elsewhere") / path for path in table.paths)
        moved = replace(table, paths=paths, classes=tuple("wxyz"))
        _check_same(_split(splitter, table), _split(splitter, moved))


def _check_same(first: np.ndarray, second: np.ndarray) -> None:
    differ = int((first != second).any(axis=1).sum())
    assert not differ, f"{differ} of {ROWS} rows changed their fold"


def law_no_model_trains_on_what_it_holds_out(splitter: Splitter) -> None:
    """Each fold has training rows, and none of them is held out by it."""
    for table in _tables(splitter):
        numbers = _split(splitter, table)
        for fold in range(int(numbers.max()) + 1):
            trained = np.asarray(splitter.train_rows(numbers, fold))
            shape = f"train_rows of fold {fold} has shape {trained.shape}, not ({ROWS},)"
            assert trained.shape == (ROWS,), shape
            assert trained.dtype == bool, f"train_rows of fold {fold} is {trained.dtype}, not bool"
            both = int((trained & (numbers == fold).any(axis=1)).sum())
            assert not both, f"fold {fold} trains on {both} rows that it holds out"
            assert trained.any(), f"fold {fold} trains on nothing"


def law_groups_stay_whole(splitter: Splitter) -> None:
    """A splitter that needs groups holds each out whole, and trains on none of its rows then."""
    for table in _tables(splitter):
        if table.groups is None:
            return
        numbers = _split(splitter, table)
        for fold in range(int(numbers.max()) + 1):
            held = set(table.groups[(numbers == fold).any(axis=1)])
            torn = held & set(table.groups[splitter.train_rows(numbers, fold)])
            assert not torn, f"fold {fold} tears {len(torn)} groups, such as {min(torn)}"
