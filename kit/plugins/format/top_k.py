"""Top-k: the most probable labels in one cell, best first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pydantic import Field

from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.kinds import Format
from kit.plugins.format._cells import doubles, no_classes


class TopK(Format):
    """One column with each row's most probable labels, best first, separated by a space.

    Raises ConfigError for more labels than classes.

    Source: for example Humpback Whale's sample submission, `Image,Id` with five labels per cell.
    """

    label_kinds = ("class_index", "multi_hot")

    k: int | None = Field(None, ge=1, description="labels per row; by default as many as in the sample")

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        known = set(classes)
        if sample.shape[1] != 2 or (self.k != 1 and known.issuperset(sample.iloc[:, 1])):
            return False
        cells = [cell.split(" ") for cell in sample.iloc[:, 1]]
        return bool(cells) and all(set(cell) <= known and len(set(cell)) == len(cell) for cell in cells)

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        rows, k = [cell.split(" ") for cell in table.iloc[:, 1]], self._k(sample)
        long = [
            (row, f"{len(labels)} labels, at most {k}") for row, labels in enumerate(rows) if len(labels) > k
        ]
        return [*no_classes(rows, classes), *doubles(rows), *long]

    def _k(self, sample: pd.DataFrame) -> int:
        return self.k or max(len(cell.split(" ")) for cell in sample.iloc[:, 1])

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        k = self._k(sample)
        if k > len(predictions.classes):
            raise ConfigError(f"{k} labels per row of {len(predictions.classes)} classes", code="C21")
        best = np.argsort(-predictions.align(sample.iloc[:, 0]), axis=1, kind="stable")[:, :k]
        cells = [" ".join(predictions.classes[number] for number in row) for row in best]
        return pd.DataFrame({sample.columns[0]: sample.iloc[:, 0], sample.columns[1]: cells})
