"""Label: one label per row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pandas as pd

from kit.data.predictions import Predictions
from kit.kinds import Format
from kit.plugins.format._cells import no_classes
from kit.plugins.format._numbers import most_probable


class Label(Format):
    """One column with each row's most probable class.

    A binary sample of zeros only looks like this format: set `format=binary_probability` if it is not.

    Source: for example Cassava's sample submission, `image_id,label`.
    """

    holds_decisions: ClassVar[bool] = True

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        return sample.shape[1] == 2 and len(sample) > 0 and set(sample.iloc[:, 1]) <= set(classes)

    def output_of(self, probabilities: np.ndarray) -> np.ndarray:
        return most_probable(probabilities)

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        return no_classes([[cell] for cell in table.iloc[:, 1]], classes)

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        best = predictions.align(sample.iloc[:, 0]).argmax(axis=1)
        labels = np.asarray(predictions.classes, dtype=object)[best]
        return pd.DataFrame({sample.columns[0]: sample.iloc[:, 0], sample.columns[1]: labels})
