"""Part labels: a row for each id and part of the answer, with the part's class or value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from kit.data.predictions import Predictions
from kit.kinds.several_target import SeveralTarget
from kit.plugins.format._parts import (
    PartRowsFormat,
    cell_fault,
    cells_of_part,
    classes_of_parts,
    read_part_rows,
)


class PartLabels(PartRowsFormat):
    """A row for each id and part with the part's most probable class, such as `Test_0_grapheme_root,3`, or its value.

    Source: the sample submission of Bengali.AI Handwritten Grapheme Classification, `row_id,target`.
    """

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        known = classes_of_parts(classes)
        rows = read_part_rows(sample, list(known), self.separator) if sample.shape[1] == 2 else None
        if rows is None or not any(known[part] for part in rows.parts):
            return False
        faults = self.check_rows(sample, sample, classes)
        return faults is not None and (not faults or not any(map(str.strip, sample.iloc[:, 1])))

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]] | None:
        known = classes_of_parts(classes)
        rows = read_part_rows(sample, list(known), self.separator)
        if rows is None:
            return None
        cells = zip(rows.parts, table.iloc[:, 1], strict=True)
        return [
            (row, fault)
            for row, (part, cell) in enumerate(cells)
            if (fault := cell_fault(cell, part, known[part]))
        ]

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        rows = self.read(sample, predictions.classes)
        values, known = self.align(predictions, rows), classes_of_parts(predictions.classes)
        places = SeveralTarget.of(predictions.classes).slices
        cells = [
            cells_of_part(row[None, places[part]], known[part])[0]
            for part, row in zip(rows.parts, values, strict=True)
        ]
        columns: dict[str, Any] = {str(sample.columns[1]): cells}
        return sample.assign(**columns)
