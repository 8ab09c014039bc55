"""Part columns: a column for each part of the answer, with the part's class."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from kit.data.predictions import Predictions
from kit.kinds import Format
from kit.kinds.several_target import SeveralTarget
from kit.plugins.format._parts import classes_of_parts


class PartColumns(Format):
    """A column for each part with its most probable class, in the order of the sample's columns.

    Source: the wide form of Bengali.AI's labels, `image_id,grapheme_root,vowel_diacritic,consonant_diacritic`.
    """

    label_kinds = ("several",)

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        parts = classes_of_parts(classes)
        if not parts or sorted(map(str, sample.columns[1:])) != sorted(parts):
            return False
        cells = [cell for name in sample.columns[1:] for cell in sample[name]]
        return not self.check_rows(sample, sample, classes) or not any(map(str.strip, cells))

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        return [
            (row, f"{cell!r} is not a class of {part!r}")
            for part, names in classes_of_parts(classes).items()
            for row, cell in enumerate(table[part])
            if cell not in names
        ]

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        values, parts = predictions.align(sample.iloc[:, 0]), classes_of_parts(predictions.classes)
        places = SeveralTarget.of(predictions.classes).slices
        made = {
            part: [names[number] for number in values[:, places[part]].argmax(axis=1)]
            for part, names in parts.items()
        }
        return sample.assign(**made)
