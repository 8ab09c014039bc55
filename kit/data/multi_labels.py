"""Several labels a row, in one cell or a column a class: checked, and made 0 and 1 by class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kit.data.csv_file import read_csv
from kit.data.patterns import fill
from kit.data.spelling import number_of
from kit.errors import Case, ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from kit.config.models import Data

Cells = list[tuple[str, ...]]


def split_labels(columns: Mapping[str, Sequence[str]], data: Data, separator: str) -> Cells:
    """Every row's labels, by the column or pattern `data.label`, before `data.rename`; a row may have no
    label."""
    return [split_cell(cell, separator) for cell in fill(data.label or "", columns, "data.label")]


def class_columns(root: Path, data: Data, columns: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The classes where each is a column: those of `data.classes`, else the sample's columns after the id.

    Raises ConfigError C07 where neither names any, the training table lacks one, or the config says how labels are
    made otherwise.
    """
    idle = [key for key in ("label_separator", "rename", "bins", "file_labels") if getattr(data, key)]
    if idle:
        text = (
            "data.label is null, so labels are columns and "
            f"{', '.join(f'data.{key}' for key in idle)} has no effect"
        )
        raise ConfigError(text, code="C07", hint="data.label=<column or pattern>, or remove these keys")
    if data.classes:
        names = tuple(row[0] for row in read_csv(root / data.classes, data.sep, data.encoding).rows)
    else:
        names = read_csv(root / data.sample, data.sep, data.encoding).columns[1:] if data.sample else ()
    lost = [
        Case(f"no such column{did_you_mean(name, columns)}", name)
        for name in names
        if column_of(name, columns) is None
    ]
    if lost or not names:
        what = f"{len(lost)} classes are not columns of {data.train}" if lost else "the classes are unknown"
        raise ConfigError(
            f"data.label is null, and {what}",
            code="C07",
            cases=lost,
            hint="data.label=<column>, or data.classes with a CSV that lists the columns of the classes",
        )
    return names


def column_of(name: str, columns: Iterable[str]) -> str | None:
    """The column of a class: of its name, else the only one that is the same number; None if there is none."""
    if name in columns:
        return name
    value = number_of(name)
    same = [column for column in columns if value is not None and number_of(column) == value]
    return same[0] if len(same) == 1 else None


def multi_hot_from_columns(
    columns: Mapping[str, Sequence[str]], classes: Sequence[str], ids: Sequence[str]
) -> np.ndarray:
    """0 and 1, int8 (rows, classes), of a column a class. Raises DataError D31 for cells that are neither."""
    cells = {name: columns[column_of(name, columns) or name] for name in classes}
    value = {cell: number_of(cell) for cell in set().union(*cells.values())}
    wrong = [
        Case(f"column {name!r} holds {cell!r}", id=row, split="train", code="D31")
        for name in classes
        for row, cell in zip(ids, cells[name], strict=True)
        if value[cell] not in (0, 1)
    ]
    if wrong:
        raise DataError(f"{len(wrong)} cells of the class columns are not 0 or 1", code="D31", cases=wrong)
    return np.array([[value[cell] == 1 for cell in cells[name]] for name in classes], dtype=np.int8).T.copy()


def split_cell(cell: str, separator: str) -> tuple[str, ...]:
    """The labels in a cell, without blanks around them; nothing between two separators is no label."""
    found = cell.split() if separator.isspace() else map(str.strip, cell.split(separator))
    return tuple(part for part in found if part)


def check_separator(classes: Sequence[str], separator: str) -> None:
    """Raises ConfigError C07 for classes that the separator takes apart."""
    torn = [name for name in classes if split_cell(name, separator) != (name,)]
    if torn:
        raise ConfigError(
            f"data.label_separator {separator!r} occurs in the names of {len(torn)} classes",
            code="C07",
            cases=torn,
            hint="data.label_separator=null if a cell is one label",
        )


def multi_hot(cells: Cells, classes: Sequence[str], ids: Sequence[str]) -> np.ndarray:
    """0 and 1, int8 (rows, classes), of labels that are all classes. Raises DataError D19 for one there twice."""
    number = {name: index for index, name in enumerate(classes)}
    _refuse_double(cells, ids)
    made = np.zeros((len(cells), len(classes)), dtype=np.int8)
    for row, labels in enumerate(cells):
        made[row, [number[label] for label in labels]] = 1
    return made


def _refuse_double(cells: Cells, ids: Sequence[str]) -> None:
    cases = [
        Case(f"has {_double(labels)!r} twice", id=row, split="train", code="D19")
        for row, labels in zip(ids, cells, strict=True)
        if len(set(labels)) < len(labels)
    ]
    if cases:
        raise DataError(f"{len(cases)} training rows have a label twice", code="D19", cases=cases)


def _double(labels: tuple[str, ...]) -> str:
    return next(label for label in labels if labels.count(label) > 1)
