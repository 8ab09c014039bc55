"""Part values: a column for each class of the parts, and for each value."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from kit.data.csv_file import is_number
from kit.data.predictions import Predictions
from kit.kinds import Format
from kit.plugins.format._cells import no_numbers
from kit.plugins.format._numbers import text
from kit.plugins.format._parts import classes_of_parts, places_of_columns, read_part_rows


class PartValues(Format):
    """A column for each class of a part with its probability, and for each yes or number with its value.

    A class's column is named by the class or as in `part_class`. The sample may have only some of the
    columns.

    Source: the sample submission of RSNA 2023 Abdominal Trauma Detection, `patient_id,bowel_healthy,bowel_injury,...`.
    """

    label_kinds = ("several",)

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        cells = {cell.strip() for at in range(1, sample.shape[1]) for cell in sample.iloc[:, at].unique()}
        has_columns = sample.shape[1] > 1 and set(map(str, sample.columns[1:])) <= set(
            places_of_columns(classes)
        )
        if read_part_rows(sample, list(classes_of_parts(classes)), None) is not None:
            return False  # a row for each id and part
        return has_columns and len(sample) > 0 and (cells == {""} or all(map(is_number, cells)))

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        return [fault for name in table.columns[1:] for fault in no_numbers(table[name], str(name))]

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        values, at = predictions.align(sample.iloc[:, 0]), places_of_columns(predictions.classes)
        columns = {str(name): text(values[:, at[name]]) for name in sample.columns[1:] if name in at}
        return pd.DataFrame({sample.columns[0]: sample.iloc[:, 0], **columns})
