"""Probabilities: one column per class."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from kit.data.predictions import Predictions
from kit.kinds import Format
from kit.plugins.format._cells import no_shares
from kit.plugins.format._numbers import are_shares, text


class Probabilities(Format):
    """One column per class with its probability, in the order of the sample's columns.

    Source: for example State Farm's and Plant Pathology's sample submissions, `id,class,class,...`.
    """

    label_kinds = ("class_index", "multi_hot", "soft")

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        has_class_columns = len(classes) > 1 and sorted(sample.columns[1:]) == sorted(classes)
        if not has_class_columns or all(
            row.count("1") == 1 and row.count("0") == len(row) - 1 for row in _rows(sample)
        ):
            return False  # if each row has one 1, it is one_hot
        return all(are_shares(sample.iloc[:, n].tolist()) for n in range(1, sample.shape[1]))

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        return [fault for name in table.columns[1:] for fault in no_shares(table[name], str(name))]

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        values = predictions.align(sample.iloc[:, 0])
        at = {name: number for number, name in enumerate(predictions.classes)}
        columns = {name: text(values[:, at[name]]) for name in sample.columns[1:] if name in at}
        return pd.DataFrame({sample.columns[0]: sample.iloc[:, 0], **columns})


def _rows(sample: pd.DataFrame) -> list[list[str]]:
    return list(sample.iloc[:, 1:].to_numpy().tolist())
