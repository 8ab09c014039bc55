"""What formats of answers with several parts share: the classes of each part, and rows that end in a part's name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import Field

from kit.data.long_rows import SEPARATORS, split_cell
from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.kinds import Format
from kit.kinds.several_target import PART_SEPARATOR, SeveralTarget

Classes = dict[str, list[str]]  # of each part, in the order of the columns


@dataclass(frozen=True)
class PartRows:
    """Of each row of a sample its id and its part."""

    ids: list[str]
    parts: list[str]


def classes_of_parts(columns: Sequence[str]) -> Classes:
    """The classes of each part, of names such as `part=class`; empty if they are no such names."""
    if not columns or not all(PART_SEPARATOR in name for name in columns):
        return {}
    return {
        part: [name.removeprefix(part + PART_SEPARATOR) for name in columns[place]]
        for part, place in SeveralTarget.of(columns).slices.items()
    }


def read_part_rows(sample: pd.DataFrame, parts: Sequence[str], separator: str | None) -> PartRows | None:
    """How the first column joins ids with parts; None if it does not."""
    cells, known = list(map(str, sample.iloc[:, 0])), set(parts)
    if not cells or not known:
        return None
    for tried in SEPARATORS if separator is None else (separator,):
        pairs = [pair for cell in cells if (pair := split_cell(cell, known, tried)) is not None]
        if len(pairs) == len(cells) == len(set(pairs)):
            return PartRows([name for name, _ in pairs], [part for _, part in pairs])
    return None


class PartRowsFormat(Format):
    """Rows whose first cell joins an id with a part, in any order."""

    label_kinds = ("several",)

    separator: str | None = Field(
        None,
        min_length=1,
        description="between the id and the part in a cell; by default as the sample shows it",
    )

    def ids(self, sample: pd.DataFrame, classes: Sequence[str]) -> list[str]:
        rows = read_part_rows(sample, list(classes_of_parts(classes)), self.separator)
        return super().ids(sample, classes) if rows is None else rows.ids

    def read(self, sample: pd.DataFrame, classes: Sequence[str]) -> PartRows:
        """Raises ConfigError C21 if the sample is not of this form."""
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
        """Predictions (rows of the sample, K)."""
        different = list(dict.fromkeys(rows.ids))
        place = {name: row for row, name in enumerate(different)}
        values: np.ndarray = predictions.align(different)[np.array([place[name] for name in rows.ids])]
        return values
