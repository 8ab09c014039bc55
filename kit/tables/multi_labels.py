"""Several labels a row, in one cell or a column a class: checked, and made 0 and 1 by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kit.errors import Case, ConfigError, DataError, nearest
from kit.tables.csv_file import read_csv
from kit.tables.patterns import fill

if TYPE_CHECKING:
    from kit.config import Data

Cells = list[tuple[str, ...]]
ZERO, ONE = ("0", "0.0"), ("1", "1.0")


def split_labels(columns: Mapping[str, Sequence[str]], data: Data, separator: str) -> Cells:
    """Every row's labels, by the column or pattern `data.label`; a row may have none."""
    cells = fill(data.label or "", columns, "data.label")
    return [tuple(data.rename.get(label, label) for label in parts(cell, separator)) for cell in cells]


def class_columns(root: Path, data: Data, columns: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The classes where each is a column: those of `data.classes`, else the sample's columns after the id.

    Raises ConfigError C07 where neither names any, the training table lacks one, or the config says how labels are
    made otherwise.
    """
    idle = [key for key in ("label_separator", "rename", "bins", "file_labels") if getattr(data, key)]
    if idle:
        text = f"data.label is null, so labels are columns and not made by {', '.join(f'data.{key}' for key in idle)}"
        raise ConfigError(text, code="C07", hint="data.label=<column or pattern>, or without them")
    if data.classes:
        names = tuple(row[0] for row in read_csv(root / data.classes, data.sep, data.encoding).rows)
    else:
        names = read_csv(root / data.sample, data.sep, data.encoding).columns[1:] if data.sample else ()
    lost = [Case(f"no such column{nearest(name, columns)}", name) for name in names if name not in columns]
    if lost or not names:
        what = f"{len(lost)} classes are no columns of {data.train}" if lost else "nothing names the classes"
        raise ConfigError(
            f"data.label is null, and {what}", code="C07", cases=lost,
            hint="data.label=<column>, or data.classes, a CSV that lists the classes' columns",
        )  # fmt: skip
    return names


def from_columns(
    columns: Mapping[str, Sequence[str]], classes: Sequence[str], ids: Sequence[str]
) -> np.ndarray:
    """0 and 1, int8 (rows, classes), of a column a class. Raises DataError D31 for cells that are neither."""
    wrong = [
        Case(f"column {name!r} holds {cell!r}", id=row, split="train", code="D31")
        for name in classes
        for row, cell in zip(ids, columns[name], strict=True)
        if cell not in ZERO and cell not in ONE
    ]
    if wrong:
        raise DataError(f"{len(wrong)} cells of the classes' columns are not 0 or 1", code="D31", cases=wrong)
    return np.array([[cell in ONE for cell in columns[name]] for name in classes], dtype=np.int8).T.copy()


def parts(cell: str, separator: str) -> tuple[str, ...]:
    """The labels in a cell, without blanks around them; nothing between two separators is no label."""
    found = cell.split() if separator.isspace() else map(str.strip, cell.split(separator))
    return tuple(part for part in found if part)


def check_classes(classes: Sequence[str], separator: str) -> None:
    """Raises ConfigError C07 for classes that the separator takes apart."""
    torn = [name for name in classes if parts(name, separator) != (name,)]
    if torn:
        raise ConfigError(
            f"data.label_separator {separator!r} is in the names of {len(torn)} classes", code="C07", cases=torn,
            hint="data.label_separator=null where a cell is one label",
        )  # fmt: skip


def multi_hot(cells: Cells, classes: Sequence[str], ids: Sequence[str]) -> np.ndarray:
    """0 and 1, int8 (rows, classes). Raises DataError: D32 for labels that are no class, D19 for one there twice."""
    number = {name: index for index, name in enumerate(classes)}
    _refuse_unknown(cells, number, ids)
    _refuse_double(cells, ids)
    made = np.zeros((len(cells), len(classes)), dtype=np.int8)
    for row, labels in enumerate(cells):
        made[row, [number[label] for label in labels]] = 1
    return made


def _refuse_unknown(cells: Cells, classes: dict[str, int], ids: Sequence[str]) -> None:
    cases = [
        Case(f"label {label!r} is no class{nearest(label, classes)}", id=row, split="train", code="D32")
        for row, labels in zip(ids, cells, strict=True)
        for label in labels
        if label not in classes
    ]
    if cases:
        raise DataError(
            f"{len(cases)} labels of training rows are outside the {len(classes)} classes",
            code="D32", cases=cases, hint="data.classes lists the classes, else the sample's columns do",
        )  # fmt: skip


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
