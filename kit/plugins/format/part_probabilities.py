"""Part probabilities: a row for each id and part of the answer, with a column for each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kit.data.predictions import Predictions
from kit.kinds.several_target import SeveralTarget
from kit.plugins.format._cells import no_shares
from kit.plugins.format._numbers import are_shares, text
from kit.plugins.format._parts import PartRowsFormat, classes_of_parts, read_part_rows


class PartProbabilities(PartRowsFormat):
    """A row for each id and part with the probability of each class, such as `7_left_l1_l2,0.8,0.1,0.1`.

    Columns have the names of the classes, in any case; `normal_mild` is `Normal/Mild`. A class without a
    training row in a part gets 0.

    Source: the sample submission of RSNA 2024 Lumbar Spine, `row_id,normal_mild,moderate,severe`.
    """

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        parts = classes_of_parts(classes)
        if (
            sample.shape[1] < 3
            or not all(parts.values())
            or read_part_rows(sample, list(parts), self.separator) is None
        ):
            return False
        names_of_columns = {_plain(name) for names in parts.values() for name in names}
        cells = [cell for at in range(1, sample.shape[1]) for cell in sample.iloc[:, at]]
        columns = [_plain(str(name)) for name in sample.columns[1:]]
        return sorted(columns) == sorted(names_of_columns) and (
            are_shares(cells) or not any(map(str.strip, cells))
        )

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        return [fault for name in table.columns[1:] for fault in no_shares(table[name], str(name))]

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        rows = self.read(sample, predictions.classes)
        values, parts = self.align(predictions, rows), classes_of_parts(predictions.classes)
        places = SeveralTarget.of(predictions.classes).slices
        at = {
            (part, _plain(name)): places[part].start + number
            for part, names in parts.items()
            for number, name in enumerate(names)
        }
        columns = {}
        for column in sample.columns[1:]:
            numbers = [at.get((part, _plain(str(column)))) for part in rows.parts]
            cells = [0.0 if at is None else values[row, at] for row, at in enumerate(numbers)]
            columns[str(column)] = text(np.array(cells))
        return sample.assign(**columns)


def _plain(name: str) -> str:
    """Returns a name in lower case, with only letters and digits."""
    return "".join(letter for letter in name.lower() if letter.isalnum())
