"""Finds the columns of a table that hold pixels."""

from __future__ import annotations

import re
from collections.abc import Sequence

MIN_SERIES = 16  # minimum length of a series of columns that is taken for pixels
_NUMBERED = re.compile(r"(.*?)(\d+)(x\d+)?")


def pixel_columns(names: Sequence[str], wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Returns the columns of pixels, series in the order of their numbers; empty if no column clearly is one."""
    if not wanted:
        return longest_series(names)
    pixel_names: list[str] = []
    for pattern in wanted:
        if "*" not in pattern:
            pixel_names += [pattern] if pattern in names else []
            continue
        before, _, after = pattern.partition("*")
        numbered = [
            (int(middle), name)
            for name in names
            if name.startswith(before)
            and name.endswith(after)
            and (middle := name[len(before) : len(name) - len(after)]).isdecimal()
        ]
        pixel_names += [name for _, name in sorted(numbered)]
    return tuple(pixel_names)


def longest_series(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the longest series of columns with one name and a number, such as pixel0 to pixel783, in the
    order of their numbers.
    """
    series: dict[str, list[tuple[int, int, str]]] = {}
    for name in names:
        if match := _NUMBERED.fullmatch(name):
            second = int(match[3][1:]) if match[3] else -1
            series.setdefault(match[1] + "x" * (second >= 0), []).append((int(match[2]), second, name))
    longest = max(series.values(), key=len, default=[])
    return tuple(name for *_, name in sorted(longest)) if len(longest) >= MIN_SERIES else ()
