"""Numbers: a column for each number that a row has."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from kit.data.csv_file import is_number
from kit.data.predictions import Predictions
from kit.kinds import Format
from kit.plugins.format._cells import no_numbers
from kit.plugins.format._numbers import text


class Numbers(Format):
    """A column for each number, in the order of the sample's columns; a single number may have any column's name.

    Source: such as the sample submissions of PetFinder Pawpularity, `Id,Pawpularity`, and PlantTraits 2024.
    """

    label_kinds = ("numbers",)

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        named = sample.shape[1] == 2 if len(classes) == 1 else sorted(sample.columns[1:]) == sorted(classes)
        cells = {cell.strip() for at in range(1, sample.shape[1]) for cell in sample.iloc[:, at].unique()}
        return named and len(sample) > 0 and (cells == {""} or all(map(is_number, cells)))

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        return [fault for name in table.columns[1:] for fault in no_numbers(table[name], str(name))]

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        values = predictions.align(sample.iloc[:, 0])
        at = {name: number for number, name in enumerate(predictions.classes)}
        if len(at) == 1:
            at = {str(sample.columns[1]): 0}
        columns = {name: text(values[:, at[name]]) for name in sample.columns[1:] if name in at}
        return pd.DataFrame({sample.columns[0]: sample.iloc[:, 0], **columns})
