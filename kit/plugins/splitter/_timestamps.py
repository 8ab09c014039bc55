"""Numbers or ISO dates in a column, as comparable numbers."""

from __future__ import annotations

import datetime
import math

import numpy as np

from kit.errors import Case, DataError


def parse_times(texts: list[str], ids: list[str], column: str) -> np.ndarray:
    """Returns times as float64 (rows,): the numbers if all cells are numbers, else ISO dates in seconds.

    A date without a zone counts as UTC. Raises DataError D31 for other cells.
    """
    numbers = [_number(text) for text in texts]
    read = numbers if None not in numbers else [_seconds(text) for text in texts]
    wrong = [
        Case(f"{text!r} in column {column!r}", id=name)
        for name, text, value in zip(ids, texts, read, strict=True)
        if value is None
    ]
    if wrong:
        raise DataError(
            f"{len(wrong)} cells of column {column!r} are no time",
            code="D31",
            cases=wrong,
            hint="all numbers, or all dates such as 2024-05-31 or 2024-05-31T18:00",
        )
    return np.array(read, dtype=np.float64)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _seconds(text: str) -> float | None:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
