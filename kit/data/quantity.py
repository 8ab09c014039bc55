"""Quantities: labels that are measured numbers, not classes, and the ranges that turn them into classes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from kit.data.spelling import number_of

if TYPE_CHECKING:
    from kit.data.table import Table

MIN_VALUES = 20  # distinct numbers; fewer may be grades, which are classes
ROWS = 5  # a quantity has fewer rows per value in the mean


def is_quantity(table: Table) -> bool:
    """Whether the classes are many distinct numbers with few rows each: a weight or an age, such as 12.73."""
    return table.has_one_class and are_quantities(table.classes, len(table))


def are_quantities(values: Collection[str], rows: int) -> bool:
    """Whether distinct labels are numbers with few rows each, and so are measured."""
    if len(values) < MIN_VALUES or len(values) * ROWS < rows:
        return False
    return all(number_of(value) is not None for value in values)


def ranges(table: Table) -> str:
    """Returns the overrides that turn a quantity into four classes of about equal size, quoted for a shell.

    It is empty if the label is not a column of the training table.
    """
    labels = {spelling.label for spelling in table.spellings}
    column = next((str(name) for name in table.frame.columns if set(table.frame[name]) == labels), None)
    values = np.array([float(name) for name in table.classes])[table.targets()]
    edges = sorted({float(f"{edge:.4g}") for edge in np.quantile(values, (0.25, 0.5, 0.75))})
    if column is None or "{" in column or "}" in column:
        return ""
    bins = json.dumps({column: edges}, ensure_ascii=False)
    return f"{shlex.quote(f'data.label={{{column}}}')} {shlex.quote(f'data.label_from.bins={bins}')}"
