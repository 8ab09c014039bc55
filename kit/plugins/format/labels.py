"""Labels: any number of labels in one cell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from pydantic import Field

from kit.data.predictions import Predictions
from kit.plugins.format._cells import doubles, no_classes
from kit.plugins.format._multi_label import MultiLabelFormat

SEPARATORS = (" ", ", ", ",", "; ", ";", "|", "/", "+", "_")


class Labels(MultiLabelFormat):
    """One column with each row's predicted labels, separated as in the sample.

    `decision` in config.json says which: its threshold, and how many labels a row has at least. Their order is the
    classes', or the likeliest first if the sample shows them in another order.

    Source: such as Human Protein Atlas's sample submission, `Id,Predicted`, and Plant Pathology 2021's, `image,labels`.
    """

    separator: str | None = Field(
        None, min_length=1, description="between labels; by default as the sample shows it, else a space"
    )

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        return sample.shape[1] == 2 and len(sample) > 0 and self._find_separator(sample, classes) is not None

    def empty_cells(self) -> tuple[str, ...]:
        return () if self.decision.min_labels else ("",)

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        rows = _cells(table, self._find_separator(sample, classes) or " ")
        return [*no_classes(rows, classes), *doubles(rows)]

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        shares, classes = predictions.align(sample.iloc[:, 0]), predictions.classes
        separator = self._find_separator(sample, classes) or " "
        rows = [np.flatnonzero(row) for row in self.decision.assign_labels(shares)]
        if not _in_class_order(_cells(sample, separator), classes):
            rows = [
                row[np.argsort(-share[row], kind="stable")] for row, share in zip(rows, shares, strict=True)
            ]
        cells = [separator.join(classes[number] for number in row) for row in rows]
        return pd.DataFrame({sample.columns[0]: sample.iloc[:, 0], sample.columns[1]: cells})

    def _find_separator(self, sample: pd.DataFrame, classes: Sequence[str]) -> str | None:
        """The separator by which all cells are different labels; None where there is none."""
        tried = SEPARATORS if self.separator is None else (self.separator,)
        return next((one for one in tried if _fits(_cells(sample, one), classes)), None)


def _cells(sample: pd.DataFrame, separator: str) -> list[list[str]]:
    return [re.split(re.escape(separator), cell) if cell else [] for cell in sample.iloc[:, 1]]


def _fits(cells: Iterable[Sequence[str]], classes: Sequence[str]) -> bool:
    known = set(classes)
    return all(set(cell) <= known and len(set(cell)) == len(cell) for cell in cells)


def _in_class_order(cells: Iterable[Sequence[str]], classes: Sequence[str]) -> bool:
    place = {name: number for number, name in enumerate(classes)}
    numbers = [[place[label] for label in cell] for cell in cells]
    return all(row == sorted(row) for row in numbers)
