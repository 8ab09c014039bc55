"""The base of formats for answers with several parts: the classes of each part, and rows that end in a part's name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import Field

from kit.data.csv_file import is_number
from kit.data.long_rows import SEPARATORS, split_cell
from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.kinds import Format
from kit.kinds.several_target import PART_SEPARATOR, SeveralTarget
from kit.plugins.format._numbers import text

Classes = dict[
    str, list[str]
]  # of each part, in the order of the columns; empty for a part with a single value


@dataclass(frozen=True)
class PartRows:
    """The id and the part of each row of a sample."""

    ids: list[str]
    parts: list[str]


def classes_of_parts(columns: Sequence[str]) -> Classes:
    """Returns the classes of each part, from names such as `part=class`.

    A column with another name is a part with a value.

    It is empty if no column is a class of a part.
    """
    if not any(PART_SEPARATOR in name for name in columns):
        return {}
    return {
        part: [name.removeprefix(part + PART_SEPARATOR) for name in columns[span] if PART_SEPARATOR in name]
        for part, span in SeveralTarget.of(columns).slices.items()
    }


def places_of_columns(columns: Sequence[str]) -> dict[str, int]:
    """Returns the prediction column of each column of a sample.

    A sample may name the column `part=class` by the class, or by both as in `part_class`, if the name is
    unique.
    """
    places_by_name: dict[str, set[int]] = {}
    for at, column in enumerate(columns):
        part, separator, name = column.partition(PART_SEPARATOR)
        for key in {column, name, f"{part}_{name}"} if separator else {column}:
            places_by_name.setdefault(key, set()).add(at)
    return {name: places.pop() for name, places in places_by_name.items() if len(places) == 1}


def cell_fault(cell: str, part: str, names: Sequence[str]) -> str:
    """Returns the fault of a cell of a part with these classes, or with a value if it has none.

    It is empty if the cell is valid.
    """
    if names:
        return "" if cell in names else f"{cell!r} is not a class of {part!r}"
    return "" if is_number(cell) else f"{cell!r} is no finite number, as {part!r} needs"


def cells_of_part(values: np.ndarray, names: Sequence[str]) -> list[str]:
    """Returns the most probable classes of predictions (N, classes) of a part, or its values (N, 1) as text."""
    return [names[number] for number in values.argmax(axis=1)] if names else text(values[:, 0])


def read_part_rows(sample: pd.DataFrame, parts: Sequence[str], separator: str | None) -> PartRows | None:
    """Returns how the first column joins ids with parts; None if it does not."""
    cells, known = list(map(str, sample.iloc[:, 0])), set(parts)
    if not cells or not known:
        return None
    for by in SEPARATORS if separator is None else (separator,):
        pairs = [pair for cell in cells if (pair := split_cell(cell, known, by)) is not None]
        if len(pairs) == len(cells) == len(set(pairs)):
            return PartRows([name for name, _ in pairs], [part for _, part in pairs])
    return None


class PartRowsFormat(Format):
    """Rows whose first cell joins an id with a part, in any order."""

    label_kinds = ("several",)

    separator: str | None = Field(
        None,
        min_length=1,
        description="separator between the id and the part in a cell; by default that of the sample",
    )

    def ids(self, sample: pd.DataFrame, classes: Sequence[str]) -> list[str]:
        rows = read_part_rows(sample, list(classes_of_parts(classes)), self.separator)
        return super().ids(sample, classes) if rows is None else rows.ids

    def read(self, sample: pd.DataFrame, classes: Sequence[str]) -> PartRows:
        """Returns the rows of a sample. Raises ConfigError C21 if the sample has another form."""
        parts = classes_of_parts(classes)
        rows = read_part_rows(sample, list(parts), self.separator)
        if rows is None:
            raise ConfigError(
                f"format {self.plugin_name()!r}: the sample has no row for each id and part; its first cell is "
                f"{next(iter(sample.iloc[:, 0].tolist()), None)!r}",
                code="C21",
                hint=f"the parts of data.label: {', '.join(parts)}",
            )
        return rows

    def align(self, predictions: Predictions, rows: PartRows) -> np.ndarray:
        """Returns predictions (rows of the sample, K)."""
        different = list(dict.fromkeys(rows.ids))
        row_of = {name: row for row, name in enumerate(different)}
        values: np.ndarray = predictions.align(different)[np.array([row_of[name] for name in rows.ids])]
        return values
