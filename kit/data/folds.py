"""Folds: the model that holds out each row, and rows whose images are byte-for-byte copies.

No splitter may split a group or a set of copies. Only files of equal size are read to find copies.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kit.core import files
from kit.core.arrays import Ids
from kit.core.files import sha256
from kit.core.randomness import generator
from kit.data.csv_file import read_csv
from kit.errors import Case, ConfigError, DataError, KitWarning, PluginError, format_cases
from kit.kinds.advice import choose_stratified_splitter, innermost

if TYPE_CHECKING:
    from kit.data.table import Table
    from kit.kinds import Splitter


RELATED = (
    "related_to",
    "kin",
)  # prefix of columns of `Folds.related`; kit wrote kin before its first release


@dataclass(frozen=True, eq=False)
class Folds:
    """Fold numbers of training rows, aligned with `table.sorted_by_id()`; -1 = never held out."""

    ids: Ids  # (rows,) of str, sorted
    numbers: np.ndarray  # (rows, repeats) int64; a number identifies one model over all repeats
    # the same, but a row of another source has those of its group's own rows, with which it must not train;
    # None if there are no such rows
    related: np.ndarray | None = None

    @property
    def count(self) -> int:
        """The number of folds over all repeats. If no row is held out, it is 1, for the model that trains on all."""
        return max(int(self.numbers.max()) + 1, 1)

    def oof_mask(self, fold: int) -> np.ndarray:
        """Returns the rows that a fold's model never sees and predicts, bool (rows,)."""
        mask: np.ndarray = (self.numbers == fold).any(axis=1)
        return mask

    def training_mask(self, splitter: Splitter, fold: int) -> np.ndarray:
        """Returns the rows that a fold's model trains on, bool (rows,)."""
        return np.asarray(splitter.train_rows(self.folds_of_related_rows, fold), dtype=bool)

    @property
    def folds_of_related_rows(self) -> np.ndarray:
        """The fold numbers that exclude rows from a model's training, (rows, repeats)."""
        return self.numbers if self.related is None else self.related

    def fingerprint(self) -> str:
        """Returns 64 hex digits that are equal for equal ids in equal folds."""
        related = [] if self.related is None else [self.related.tolist()]
        return files.fingerprint([self.ids.tolist(), self.numbers.tolist(), *related])

    def write(self, path: files.StrPath) -> None:
        """Writes folds.csv: id, fold; or id, fold_0, fold_1 ... if there are several repeats; `related_to` likewise."""
        repeats = self.numbers.shape[1]
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        names = ["fold"] if self.related is None else ["fold", "related_to"]
        writer.writerow(
            ["id", *(name if repeats == 1 else f"{name}_{n}" for name in names for n in range(repeats))]
        )
        numbers = (
            self.numbers if self.related is None else np.concatenate([self.numbers, self.related], axis=1)
        )
        writer.writerows(
            [row, *folds_of_row]
            for row, folds_of_row in zip(self.ids.tolist(), numbers.tolist(), strict=True)
        )
        files.write_text(Path(path), text.getvalue())

    @classmethod
    def read(cls, path: files.StrPath) -> Folds:
        """Reads folds.csv. Raises DataError D36 if it is not such a file."""
        file = read_csv(Path(path), fixed="delete it; kit creates it again")
        try:
            numbers = np.array([row[1:] for row in file.rows], dtype=str).astype(np.int64)
        except (ValueError, OverflowError):
            numbers = np.empty((len(file), 0), np.int64)
        ids = np.array([row[0] for row in file.rows], dtype=str)
        if file.columns[0] != "id" or not numbers.shape[1] or len(set(ids)) < len(ids) or numbers.min() < -1:
            raise DataError(
                f"{path} does not hold folds",
                code="D36",
                hint="its columns must be id and fold; delete it, and kit creates it again",
            )
        repeats = sum(not name.startswith(RELATED) for name in file.columns[1:])
        known = numbers[:, :repeats], numbers[:, repeats:]
        return cls(ids, known[0], known[1] if known[0].shape == known[1].shape else None)


def make_folds(table: Table, splitter: Splitter, seed: int = 0) -> Folds:
    """Splits the rows, sorted by id; identical images, images of one answer and rows of one group share a fold.

    Rows of other sources are never held out. They do not train in a fold that holds out a row of their group.
    Warns of identical images (W01, W02), rare classes (W04), classes that a fold does not train on (W06).
    Raises DataError D33 and D34 if groups are too few or split, PluginError P07 if a splitter breaks its
    contract.
    """
    table = table.sort_by_id()
    same = file_groups(table.paths)
    warn_of_duplicates(table, same)
    if table.answers is not None:
        same = merge_groups(same, table.answers)
    if splitter.asks_for_groups() and table.groups is None:
        name = splitter.plugin_name()
        raise ConfigError(
            f"splitter {name!r} needs data.group",
            code="C08",
            hint=f"data.group=<column>, or {innermost(splitter)[0]}="
            f"{choose_stratified_splitter(table.label_kind, grouped=False)}",
        )
    groups = same if table.groups is None else merge_groups(same, table.groups)
    # one row stands for its copies and its answer, so that a splitter without groups cannot split them
    own = np.flatnonzero(table.competition_rows)
    _, first, twin = np.unique(same[own], return_index=True, return_inverse=True)
    first_rows, unit_of_row = np.unique(own[first][twin], return_inverse=True)
    seen = replace(
        table.take(first_rows), groups=None if table.groups is None else groups[first_rows].astype(str)
    )
    numbers = np.asarray(splitter.split(seen, generator(seed, "folds")))
    _check_numbers(splitter, numbers, len(seen))
    placed = np.full((len(table), numbers.shape[1]), -1, np.int64)
    placed[own] = numbers[unit_of_row]
    folds = Folds(table.ids, placed, _related(placed, groups, table.competition_rows))
    _check_groups(folds, splitter, groups, table)
    _warn_of_rare(folds, splitter, table, own if table.answers is None else first_rows)
    return folds


def _related(numbers: np.ndarray, groups: np.ndarray, own: np.ndarray) -> np.ndarray | None:
    """Returns the numbers in which rows that are not `own` have those of their group's own rows.

    It is None if no row changes.
    """
    known = {groups[row]: numbers[row] for row in np.flatnonzero(own)}
    related = numbers.copy()
    for row in np.flatnonzero(~own):
        related[row] = known.get(groups[row], numbers[row])
    return None if np.array_equal(related, numbers) else related


def _check_numbers(splitter: Splitter, numbers: np.ndarray, rows: int) -> None:
    """Raises PluginError if a splitter's result has the wrong shape, type or numbers."""
    name = splitter.plugin_name()
    wrong = ""
    if numbers.ndim != 2 or len(numbers) != rows or not numbers.shape[1]:
        wrong = f"returned fold numbers of shape {numbers.shape}, not ({rows}, repeats)"
    elif not np.issubdtype(numbers.dtype, np.integer):
        wrong = f"returned fold numbers of type {numbers.dtype}, not int64"
    else:
        used = [number for column in numbers.T for number in np.unique(column) if number != -1]
        if not splitter.holds_out:
            wrong = "holds rows out although its `holds_out` is False" if used else ""
        elif sorted(used) != list(range(len(used))) or not used:
            wrong = (
                f"returned the fold numbers {sorted(map(int, used))[:10]}: they must count from 0, each "
                "in one repeat"
            )
    if wrong:
        hint = f"kit plugins check plugins/splitter/{name}.py"
        raise PluginError(f"splitter {name!r} {wrong}", code="P07", hint=hint)


def _check_groups(folds: Folds, splitter: Splitter, groups: np.ndarray, table: Table) -> None:
    """Raises DataError if a model would train on a row that it is to predict, or on a related row."""
    torn: dict[int, list[int]] = {}
    for fold in range(folds.count):
        held, trained = folds.oof_mask(fold), folds.training_mask(splitter, fold)
        for group in np.intersect1d(groups[held], groups[trained]):
            torn.setdefault(int(group), []).append(fold)
    if not torn:
        return
    names = (table.ids if table.groups is None else table.groups).tolist()
    cases = [
        Case(f"fold {', '.join(map(str, numbers))} trains on group {names[group]!r} and also holds it out")
        for group, numbers in torn.items()
    ]
    keep = f"splitter={choose_stratified_splitter(table.label_kind, grouped=True)}"
    raise DataError(
        f"splitter {splitter.plugin_name()!r} separates {len(torn)} of {len(set(groups))} groups",
        code="D34",
        cases=cases,
        hint=f"{keep} splitter.folds={max(min(_per_repeat(folds), len(set(groups.tolist()))), 2)}",
    )


def _per_repeat(folds: Folds) -> int:
    return len(set(folds.numbers[:, 0].tolist()) - {-1})


def _warn_of_rare(folds: Folds, splitter: Splitter, table: Table, counted: np.ndarray) -> None:
    """Warns of classes with fewer rows, of those `counted`, than folds (W04), and of classes that a fold lacks (W06).

    The unknown class of the config may have no rows at all.
    """
    is_expected = (table.counts() == 0) & (np.array(table.classes) == (table.unknown_class or ""))
    needed = max(_per_repeat(folds), 2) if splitter.holds_out else 0
    rare = [
        f"{name} {count}"
        for name, count, is_known in zip(table.classes, table.counts(counted), ~is_expected, strict=True)
        if count < needed and is_known
    ]
    if rare:
        text = f"W04 {len(rare)} classes have fewer rows than the {needed} folds: {', '.join(rare)}"
        warnings.warn(KitWarning(text), stacklevel=3)
    for fold in range(folds.count):
        absent = np.flatnonzero((table.counts(folds.training_mask(splitter, fold)) == 0) & ~is_expected)
        if len(absent):
            names = ", ".join(table.classes[number] for number in absent)
            text = (
                f"W06 fold {fold} trains on no row of {len(absent)} classes, so their rows are scored "
                f"as wrong: {names}"
            )
            warnings.warn(KitWarning(text), stacklevel=3)
        if table.label_kind in ("numbers", "several", "soft"):
            trained = table.targets()[folds.training_mask(splitter, fold)]
            if lack := table.target.find_lack(trained, table.classes):
                text = f"W89 fold {fold} has nothing to learn from some of its labels: {lack}"
                warnings.warn(KitWarning(text), stacklevel=3)


def file_groups(paths: Sequence[Path]) -> np.ndarray:
    """Returns a number for each path, int64 (paths,), equal if the files' bytes are equal.

    A missing or empty file is not equal to any other.
    """
    by_size: dict[int, list[int]] = defaultdict(list)
    for row, path in enumerate(paths):
        if path.is_file() and (size := path.stat().st_size):
            by_size[size].append(row)
    numbers = np.arange(len(paths), dtype=np.int64)
    for rows in by_size.values():
        if len(rows) > 1:
            first: dict[str, int] = {}
            for row in rows:
                numbers[row] = first.setdefault(sha256(paths[row]), row)
    return numbers


def merge_groups(*keys: Sequence[Hashable] | np.ndarray) -> np.ndarray:
    """Returns groups of rows linked by an equal value of any key, directly or through others: int64 (rows,)."""
    links: list[tuple[int, int]] = []
    for values in keys:
        first: dict[Hashable, int] = {}
        links += ((row, first.setdefault(value, row)) for row, value in enumerate(values))
    return connected_components(len(keys[0]), links)


def connected_components(rows: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """Returns one number for rows linked by pairs, directly or through others: the lowest row's, int64 (rows,)."""
    parent = list(range(rows))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = row = parent[parent[row]]
        return row

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return np.array([root(row) for row in range(rows)], dtype=np.int64)


def _groups_of_several(numbers: np.ndarray) -> list[np.ndarray]:
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order])) + 1
    return [rows for rows in np.split(order, starts) if len(rows) > 1]


def warn_of_duplicates(table: Table, numbers: np.ndarray) -> None:
    """Warns of duplicate training images (W01), and of those with two labels (W02)."""
    repeated = _groups_of_several(numbers)
    if not repeated:
        return
    count = sum(map(len, repeated))
    texts = [" = ".join(table.ids[rows]) for rows in repeated]
    _warn_with_cases(
        f"W01 {count} training images are byte-for-byte copies of {len(repeated)} files, and copies "
        "share folds",
        texts,
    )
    if table.labels is None:
        return
    conflicts = [rows for rows in repeated if len(np.unique(table.labels[rows], axis=0)) > 1]
    if conflicts:
        cases = [
            " = ".join(
                f"{table.ids[row]} ({', '.join(table.label_names(row)) or 'no label'})" for row in rows
            )
            for rows in conflicts
        ]
        _warn_with_cases(f"W02 {len(conflicts)} images have conflicting labels", cases)


def warn_train_test_overlap(train: Table, test: Table) -> None:
    """Warns (W01) of images that are in both the training rows and the test rows, byte for byte."""
    numbers = file_groups([*train.paths, *test.paths])
    split = len(train)
    shared = [rows for rows in _groups_of_several(numbers) if rows.min() < split <= rows.max()]
    if shared:
        ids = np.concatenate([train.ids, test.ids])
        _warn_with_cases(
            f"W01 {len(shared)} images are in both train and test", [" = ".join(ids[rows]) for rows in shared]
        )


def _warn_with_cases(summary: str, cases: Iterable[str]) -> None:
    warnings.warn(KitWarning("\n".join([summary, *format_cases(list(cases))])), stacklevel=3)
