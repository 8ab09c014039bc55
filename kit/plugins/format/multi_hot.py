"""Multi-hot: one column per class, 1 for every assigned label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kit.data.predictions import Predictions
from kit.plugins.format._multi_label import MultiLabelFormat


class MultiHot(MultiLabelFormat):
    """One column per class: 1 for a row's predicted labels, 0 for the others.

    `decision` in config.json assigns them: its threshold, and the minimum number of labels per row.

    A sample of zeros only is taken for one of probabilities: set `format=multi_hot` if it is not.

    Source: the indicator matrix of sklearn.preprocessing.MultiLabelBinarizer.
    """

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        has_class_columns = len(classes) > 1 and sorted(sample.columns[1:]) == sorted(classes)
        if not has_class_columns or self.check_rows(sample, sample, classes):
            return False
        return "1" in sample.iloc[:, 1:].to_numpy().ravel().tolist()

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        strange = (
            (row, next((cell for cell in cells if cell not in ("0", "1")), None))
            for row, cells in enumerate(table.iloc[:, 1:].to_numpy().tolist())
        )
        return [(row, f"{cell!r} is neither 0 nor 1") for row, cell in strange if cell is not None]

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        given = np.where(self.decision.assign_labels(predictions.align(sample.iloc[:, 0])), "1", "0").astype(
            object
        )
        at = {name: number for number, name in enumerate(predictions.classes)}
        columns = {name: given[:, at[name]] for name in sample.columns[1:] if name in at}
        return pd.DataFrame({sample.columns[0]: sample.iloc[:, 0], **columns})
