"""Part columns: a column for each part of the answer, with the part's class or value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from pydantic import Field

from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.kinds import Format
from kit.kinds.several_target import SeveralTarget
from kit.plugins.format._parts import cell_fault, cells_of_part, classes_of_parts


class PartColumns(Format):
    """A column for each part with its most probable class or its value, in the order of the sample's columns.

    The sample may have only some of the parts. Raises ConfigError C21 for a column that is not a part.

    Source: the wide form of Bengali.AI's labels, `image_id,grapheme_root,vowel_diacritic,consonant_diacritic`.
    """

    label_kinds = ("several",)

    parts: Mapping[str, str] = Field(
        {}, description="the part of each column of the sample that has another name than the part"
    )

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        parts = classes_of_parts(classes)
        wanted = [self._part(column) for column in sample.columns[1:]]
        if not wanted or not set(wanted) <= set(parts) or not any(parts[part] for part in wanted):
            return False
        cells = [cell for name in sample.columns[1:] for cell in sample[name]]
        return not self.check_rows(sample, sample, classes) or not any(map(str.strip, cells))

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        known = classes_of_parts(classes)
        return [
            (row, fault)
            for column in sample.columns[1:]
            for row, cell in enumerate(table[column])
            if (fault := cell_fault(cell, self._part(column), known.get(self._part(column), [])))
        ]

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        values, known = predictions.align(sample.iloc[:, 0]), classes_of_parts(predictions.classes)
        places = SeveralTarget.of(predictions.classes).slices
        missing = [name for name in sample.columns[1:] if self._part(name) not in known]
        if missing:
            raise ConfigError(
                f"format 'part_columns': the sample's column {missing[0]!r} is no part",
                code="C21",
                hint=f"format.parts names the part of a column; the parts: {', '.join(known)}",
            )
        columns = {
            str(name): cells_of_part(values[:, places[self._part(name)]], known[self._part(name)])
            for name in sample.columns[1:]
        }
        return sample.assign(**columns)

    def _part(self, column: object) -> str:
        """Returns the part of a column of the sample."""
        return self.parts.get(str(column), str(column))
