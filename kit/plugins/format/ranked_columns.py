"""Ranked columns: the most probable labels, one column each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.kinds import Format
from kit.plugins.format._cells import doubles, no_classes


class RankedColumns(Format):
    """A row's most probable labels, one per column after the id, the best in the first.

    Raises ConfigError for more columns than classes.

    Source: for example `id,first,second,third`; the same ranking in one cell is `top_k`, in several rows
    `ranking`.
    """

    label_kinds = ("class_index", "multi_hot")

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        if sample.shape[1] < 3 or not len(sample) or set(sample.columns[1:]) <= set(classes):
            return False
        return not self.check_rows(sample, sample, classes)

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        rows = table.iloc[:, 1:].to_numpy().tolist()
        return [*no_classes(rows, classes), *doubles(rows)]

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        count, classes = sample.shape[1] - 1, np.asarray(predictions.classes, dtype=object)
        if count > len(classes):
            raise ConfigError(f"{count} labels per row of {len(classes)} classes", code="C21")
        order = np.argsort(-predictions.align(sample.iloc[:, 0]), axis=1, kind="stable")
        ranks = {name: classes[order[:, rank]] for rank, name in enumerate(sample.columns[1:])}
        return pd.DataFrame({sample.columns[0]: sample.iloc[:, 0], **ranks})
