"""Long part values: one row per id and class of a part, and per value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pydantic import Field

from kit.data.csv_file import is_number
from kit.data.long_rows import LongRows, read_long_rows
from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.kinds import Format
from kit.plugins.format._cells import no_numbers
from kit.plugins.format._numbers import text
from kit.plugins.format._parts import places_of_columns


class LongPartValues(Format):
    """A row for each id and class of a part with its probability, and for each yes or number with its value.

    The first cell is such as `7_kidney_low`, or a second column names the class. Raises ConfigError C21 for a sample of
    another form.

    Source: pandas.melt of the wide form, see part_values.
    """

    label_kinds = ("several",)

    separator: str | None = Field(
        None,
        min_length=1,
        description="separator between the id and the column in a cell; by default that of the sample",
    )

    def ids(self, sample: pd.DataFrame, classes: Sequence[str]) -> list[str]:
        rows = self._read(sample, tuple(places_of_columns(classes)))
        return super().ids(sample, classes) if rows is None else rows.ids

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        rows = self._read(sample, tuple(places_of_columns(classes)))
        cells = set() if rows is None else {cell.strip() for cell in sample[rows.value].unique()}
        return bool(cells) and (cells == {""} or all(map(is_number, cells)))

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]] | None:
        rows = self._read(sample, tuple(places_of_columns(classes)))
        return None if rows is None else list(no_numbers(table[rows.value], rows.value))

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        places = places_of_columns(predictions.classes)
        rows = self._read(sample, tuple(places))
        if rows is None:
            raise ConfigError(
                "format 'long_part_values': the sample has no row for each id and column",
                code="C21",
                hint=f"the columns: {', '.join(predictions.classes)}",
            )
        different = list(dict.fromkeys(rows.ids))
        row_of = {name: row for row, name in enumerate(different)}
        values = predictions.align(different)
        cells = np.array(
            [values[row_of[name], places[label]] for name, label in zip(rows.ids, rows.classes, strict=True)]
        )
        return sample.assign(**{rows.value: text(cells)})

    def _read(self, sample: pd.DataFrame, columns: tuple[str, ...]) -> LongRows | None:
        """Returns how the sample joins ids and columns; None if the first row or the ids show another form."""
        if sample.shape[1] > 2:
            is_long = not sample.iloc[:, 0].is_unique
        elif self.separator is None and all(map(str.isdigit, columns)):
            is_long = False  # ids that end in a number look alike
        else:
            is_long = bool(sample.iloc[:1, 0].astype(str).str.endswith(columns).any())
        return read_long_rows(sample, columns, self.separator) if is_long else None
