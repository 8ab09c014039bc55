"""Columns: measures of each image, and the columns that both tables have, as numbers for a model."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from kit.data.table import Table
from kit.stages.checks.shift import Measures

MAX_DISTINCT = 50  # maximum values of a column of words; with more it is a name, not a measure
NUMBERS = 0.9  # share of a column's cells that are numbers, from which it is a column of numbers


def column_measures(
    measures: Measures, train: Table, test: Table, left_out: Collection[str]
) -> tuple[np.ndarray, list[str]]:
    """Returns values (train + test rows, measures), NaN if missing, and the names of the measures."""
    values_by_name = dict(measures.numbers)
    values_by_name["format"] = _codes(pd.Series(measures.formats))
    for name in test.frame.columns:
        if name in train.frame.columns and name not in left_out:
            column = pd.concat([train.frame[name], test.frame[name]], ignore_index=True)
            numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
            if np.isfinite(numbers).mean() >= NUMBERS:
                values_by_name[f"column {name}"] = numbers
            elif column.nunique() <= MAX_DISTINCT:
                values_by_name[f"column {name}"] = _codes(column)
    return np.stack(list(values_by_name.values()), axis=1), list(values_by_name)


def _codes(cells: pd.Series) -> np.ndarray:
    return np.unique(cells.astype(str), return_inverse=True)[1].astype(np.float64)
