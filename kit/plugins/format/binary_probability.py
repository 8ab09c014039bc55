"""Binary probability: one number per row, the probability of the positive class."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from pydantic import Field

from kit.data.predictions import Predictions
from kit.errors import ConfigError, did_you_mean
from kit.kinds import Format
from kit.plugins.format._cells import no_shares
from kit.plugins.format._numbers import are_shares, text


class BinaryProbability(Format):
    """One column with the probability of the positive class of two.

    Raises ConfigError if `positive` is not a class.

    Source: for example the sample submission of Dogs vs. Cats Redux, `id,label` with 0.5 in each cell.
    """

    positive: str | None = Field(
        None, description="positive class; by default the class with the column's name, otherwise the second"
    )

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        if sample.shape[1] != 2 or len(classes) != 2:
            return False
        return are_shares(sample.iloc[:, 1].tolist()) and not set(sample.iloc[:, 1]) <= set(classes)

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        return list(no_shares(table.iloc[:, 1], str(table.columns[1])))

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        column, classes = str(sample.columns[1]), predictions.classes
        positive = self.positive_class(sample, classes)
        values = predictions.align(sample.iloc[:, 0])[:, classes.index(positive)]
        return pd.DataFrame({sample.columns[0]: sample.iloc[:, 0], column: text(values)})

    def positive_class(self, sample: pd.DataFrame, classes: Sequence[str]) -> str:
        """Returns the class whose probability is written. Raises ConfigError if `positive` is not a class."""
        column = str(sample.columns[1])
        positive = self.positive or (column if column in classes else classes[1])
        if positive not in classes:
            raise ConfigError(f"no class {positive!r}{did_you_mean(positive, classes)}", code="C21")
        return positive
