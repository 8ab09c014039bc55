"""Numbers: one column per number of a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from pydantic import Field

from kit.data.csv_file import is_number
from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.kinds import Format
from kit.plugins.format._cells import no_numbers
from kit.plugins.format._numbers import text


class Numbers(Format):
    """A column for each number, in the order of the sample's columns; a single number may have any column's name.

    Raises ConfigError C21 for a column that is not a number.

    Source: such as the sample submissions of PetFinder Pawpularity, `Id,Pawpularity`, and PlantTraits 2024.
    """

    label_kinds = ("numbers",)

    columns: Mapping[str, str] = Field(
        {}, description="the label's column for each column of the sample that has another name"
    )

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        wanted = [self._label(column) for column in sample.columns[1:]]
        has_columns = len(wanted) == 1 if len(classes) == 1 else sorted(wanted) == sorted(classes)
        cells = {cell.strip() for at in range(1, sample.shape[1]) for cell in sample.iloc[:, at].unique()}
        return has_columns and len(sample) > 0 and (cells == {""} or all(map(is_number, cells)))

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        return [fault for name in table.columns[1:] for fault in no_numbers(table[name], str(name))]

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        values = predictions.align(sample.iloc[:, 0])
        at = {name: number for number, name in enumerate(predictions.classes)}
        if len(at) == 1:
            at = {self._label(sample.columns[1]): 0}
        missing = [name for name in sample.columns[1:] if self._label(name) not in at]
        if missing:
            raise ConfigError(
                f"format 'numbers': the sample's column {missing[0]!r} is no number that is predicted",
                code="C21",
                hint=f"format.columns names the label of a column; the labels: {', '.join(at)}",
            )
        columns = {name: text(values[:, at[self._label(name)]]) for name in sample.columns[1:]}
        return pd.DataFrame({sample.columns[0]: sample.iloc[:, 0], **columns})

    def _label(self, column: object) -> str:
        """Returns the label for a column of the sample."""
        return self.columns.get(str(column), str(column))
