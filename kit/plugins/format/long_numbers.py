"""Long numbers: one row per id and column of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from kit.data.csv_file import is_number
from kit.plugins.format._cells import no_numbers
from kit.plugins.format.long import Long


class LongNumbers(Long):
    """A row for each id and column with the number, such as `ID7__Dry_Clover_g,0.5` or `7,Dry_Clover_g,0.5`.

    Source: for example the sample submission of CSIRO Image2Biomass, `sample_id,target`.
    """

    label_kinds = ("numbers",)

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        rows = self._read(sample, classes)
        cells = set() if rows is None else {cell.strip() for cell in sample[rows.value].unique()}
        return bool(cells) and (cells == {""} or all(map(is_number, cells)))

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]] | None:
        rows = self._read(sample, classes)
        return None if rows is None else list(no_numbers(table[rows.value], rows.value))
