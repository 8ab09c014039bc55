"""Part labels: a column of classes for each part of a row's answer, as the labels of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kit.data.csv_file import is_number
from kit.data.label_columns import class_columns, column_of
from kit.data.label_values import refuse_idle_keys
from kit.data.spelling import as_numbers
from kit.errors import Case, ConfigError, DataError
from kit.kinds.several_target import PART_SEPARATOR

if TYPE_CHECKING:
    from kit.config.models import Data

BLANK = ("", "nan", "na")  # a part without a label, in lower case


def read_parts(
    root: Path, data: Data, columns: Mapping[str, Sequence[str]], ids: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """0 and 1, int8 (rows, K), of the classes of all parts, and names such as `part=class`.

    An empty cell is a part without a label. Raises ConfigError C07 if `data.label` is no list of columns, DataError D30
    for rows without any label and D39 for a part that has none or a single class.
    """
    refuse_idle_keys(data)
    if not isinstance(data.label, tuple):
        raise ConfigError(
            "data.target=several needs a list of columns in data.label, a column per part",
            code="C07",
            hint="'data.label=[root,vowel]'",
        )
    torn = [name for name in data.label if PART_SEPARATOR in name]
    if torn:
        raise ConfigError(
            f"{len(torn)} columns of parts have {PART_SEPARATOR!r} in their names",
            code="C07",
            cases=torn,
            hint="rename these columns",
        )
    blocks, names, lost = [], [], []
    for part in class_columns(root, data, columns):
        hot, classes = _hot([cell.strip() for cell in columns[column_of(part, columns) or part]])
        if len(classes) < 2:
            lost.append(
                Case(f"has {'the same class in all rows' if classes else 'no label in any row'}", part)
            )
        blocks.append(hot)
        names += [f"{part}{PART_SEPARATOR}{name}" for name in classes]
    if lost:
        raise DataError(
            f"{len(lost)} parts have nothing to learn",
            code="D39",
            cases=lost,
            hint="leave these columns out of data.label",
        )
    labels = np.concatenate(blocks, axis=1)
    blank = [
        Case("no label", "", ids[row], "train", "D30") for row in np.flatnonzero(~labels.any(axis=1)).tolist()
    ]
    if blank:
        raise DataError(f"{len(blank)} training rows have no label of any part", code="D30", cases=blank)
    return labels, tuple(names)


def _hot(cells: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """0 and 1, int8 (rows, classes), and the classes, numbers by value; equal numbers are one class."""
    known = {cell for cell in cells if cell.lower() not in BLANK}
    spelled = as_numbers(known)
    classes = sorted(
        {spelled.get(cell, cell) for cell in known},
        key=lambda name: (not is_number(name), float(name) if is_number(name) else 0.0, name),
    )
    number = {name: place for place, name in enumerate(classes)}
    hot = np.zeros((len(cells), len(classes)), np.int8)
    for row, cell in enumerate(cells):
        if cell in known:
            hot[row, number[spelled.get(cell, cell)]] = 1
    return hot, classes
