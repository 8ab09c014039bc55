"""Long: a row for each id and class, with its probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from kit.data.long_rows import LongRows, read_long_rows
from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.kinds import Format, LabelKind
from kit.plugins.format._cells import no_shares
from kit.plugins.format._numbers import are_shares, text


class Long(Format):
    """A row for each id and class with the probability, such as `ID_7_any,0.5` or `7,any,0.5`.

    The rows may be in any order, and an id need not have a row for every class. If the classes are numbers,
    ids that end in a number look alike, so `separator` is required. Raises ConfigError for a sample of
    another form.

    Source: for example the sample submission of RSNA Intracranial Hemorrhage, `ID,Label`; pandas.melt makes
    such tables.
    """

    label_kinds: ClassVar[tuple[LabelKind, ...]] = ("class_index", "multi_hot", "soft")
    several_rows: ClassVar[bool] = True

    separator: str | None = Field(
        None,
        min_length=1,
        description="separator between the id and the class in a cell; by default that of the sample",
    )

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        rows = self._read(sample, classes)
        if rows is None or (sample.shape[1] > 2 and len(sample) < len(set(rows.ids)) * len(classes)):
            return False  # some labels of each id, in their own column, are a ranking
        cells = sample[rows.value].tolist()
        return are_shares(cells) or not any(map(str.strip, cells))

    def ids(self, sample: pd.DataFrame, classes: Sequence[str]) -> list[str]:
        rows = self._read(sample, classes)
        return super().ids(sample, classes) if rows is None else rows.ids

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]] | None:
        rows = self._read(sample, classes)
        return None if rows is None else list(no_shares(table[rows.value], rows.value))

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        rows = self._rows(sample, predictions.classes)
        number = {name: index for index, name in enumerate(predictions.classes)}
        ids = list(dict.fromkeys(rows.ids))
        row_of = {name: row for row, name in enumerate(ids)}
        values = predictions.align(ids)[
            np.array([row_of[name] for name in rows.ids]), np.array([number[name] for name in rows.classes])
        ]
        return sample.assign(**{rows.value: text(values)})

    def _read(self, sample: pd.DataFrame, classes: Sequence[str]) -> LongRows | None:
        """Returns how the sample joins ids and classes; None if it does not, judging by the first row or the ids."""
        if sample.shape[1] > 2:
            has_one_row_per_id = sample.iloc[:, 0].is_unique
        elif self.separator is None and all(map(str.isdigit, classes)):
            has_one_row_per_id = True
        else:
            has_one_row_per_id = not sample.iloc[:1, 0].astype(str).str.endswith(tuple(classes)).any()
        return None if has_one_row_per_id else read_long_rows(sample, classes, self.separator)

    def _rows(self, sample: pd.DataFrame, classes: Sequence[str]) -> LongRows:
        rows = self._read(sample, classes)
        if rows is None:
            raise ConfigError(
                f"format 'long': the sample has no row for each id and class; its first row is "
                f"{', '.join(map(str, sample.iloc[0]))}",
                code="C21",
                hint="format.separator=_, or whatever stands between the id and the class",
            )
        return rows
