"""One-hot: one column per class, 1 for the most probable one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pandas as pd

from kit.data.predictions import Predictions
from kit.kinds import Format
from kit.plugins.format._numbers import most_probable


class OneHot(Format):
    """One column per class: 1 for a row's most probable class, 0 for the others.

    A sample of probabilities may look like this format: set `format=probabilities` if it is one.

    Source: 1-of-K coding, Bishop 2006, "Pattern Recognition and Machine Learning", chapter 4.
    """

    holds_decisions: ClassVar[bool] = True

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        has_class_columns = len(classes) > 1 and sorted(sample.columns[1:]) == sorted(classes)
        return has_class_columns and len(sample) > 0 and not self.check_rows(sample, sample, classes)

    def output_of(self, probabilities: np.ndarray) -> np.ndarray:
        return most_probable(probabilities)

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        faults = []
        for row, cells in enumerate(table.iloc[:, 1:].to_numpy().tolist()):
            strange = next((cell for cell in cells if cell not in ("0", "1")), None)
            if strange is not None:
                faults.append((row, f"{strange!r} is neither 0 nor 1"))
            elif cells.count("1") != 1:
                faults.append((row, f"{cells.count('1')} of {len(cells)} cells are 1, not one"))
        return faults

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        best = predictions.align(sample.iloc[:, 0]).argmax(axis=1)
        at = {name: number for number, name in enumerate(predictions.classes)}
        columns = {
            name: np.where(best == at[name], "1", "0").astype(object)
            for name in sample.columns[1:]
            if name in at
        }
        return pd.DataFrame({sample.columns[0]: sample.iloc[:, 0], **columns})
