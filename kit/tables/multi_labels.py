"""Several labels in one cell: taken apart, checked against the list of classes, and made 0 and 1 by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kit.errors import Case, ConfigError, DataError, nearest
from kit.tables.patterns import fill

if TYPE_CHECKING:
    from kit.config import Data

Cells = list[tuple[str, ...]]


def split_labels(columns: Mapping[str, Sequence[str]], data: Data, separator: str) -> Cells:
    """Every row's labels, by the column or pattern `data.label`; a row may have none."""
    cells = fill(data.label, columns, "data.label")
    return [tuple(data.rename.get(label, label) for label in parts(cell, separator)) for cell in cells]


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
