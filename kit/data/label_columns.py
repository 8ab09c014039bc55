"""Columns that labels may be made of besides those of a table: parts of file names, and one of several 0/1 columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kit.data.csv_file import unknown_column
from kit.data.spelling import number_of
from kit.errors import Case, DataError

if TYPE_CHECKING:
    from kit.config.models import Data

LABEL = "label"  # the column of a regular expression's only group, and of the name of the column with the 1


def columns_of_names(names: Sequence[str], ids: Sequence[str], data: Data) -> dict[str, list[str]]:
    """The groups of `data.label_from.regex` in the rows' image paths, a column each; none without a regex.

    Raises DataError D30 for paths in which it is not found.
    """
    regex = data.label_from.regex
    if regex is None:
        return {}
    pattern = re.compile(regex)
    found = [pattern.search(name) for name in names]
    lost = [
        Case(f"{name!r} does not match", "", row, "train", "D30")
        for row, name, match in zip(ids, names, found, strict=True)
        if match is None
    ]
    if lost:
        count = (
            "no image path matches" if len(lost) == len(names) else f"{len(lost)} image paths do not match"
        )
        raise DataError(
            f"{count} data.label_from.regex {regex!r}",
            code="D30",
            cases=lost,
            hint="kit searches the regular expression in the path below the image folder, such as "
            f"{names[0]!r}; a group in parentheses is the label",
        )
    groups = dict(pattern.groupindex) or {LABEL: 1}
    return {name: [(match[at] or "") if match else "" for match in found] for name, at in groups.items()}


def names_of_ones(
    columns: Mapping[str, Sequence[str]], wanted: Sequence[str], ids: Sequence[str]
) -> list[str]:
    """The column, among those of `data.label_from.one_hot`, in which each row has its 1.

    Raises ConfigError C07 for unknown columns, DataError D31 for rows with other cells than a single 1 and zeros.
    """
    unknown = [name for name in wanted if name not in columns]
    if unknown:
        raise unknown_column(unknown[0], columns, "data.label_from.one_hot")
    cells = [columns[name] for name in wanted]
    digit = {cell: _digit(cell) for cell in set().union(*cells)}
    wrong: list[Case] = []
    found: list[str] = []
    for row, *given in zip(ids, *cells, strict=True):
        digits = "".join(digit[cell] for cell in given)
        if digits.count("1") == 1 and digits.count("0") == len(digits) - 1:
            found.append(wanted[digits.index("1")])
            continue
        ones = [name for name, each in zip(wanted, digits, strict=True) if each == "1"]
        odd = next((cell for cell in given if digit[cell] not in "01"), None)
        detail = f"holds {odd!r}" if odd is not None else f"has a 1 in {' and '.join(ones) or 'no column'}"
        wrong.append(Case(detail, "", row, "train", "D31"))
    if wrong:
        raise DataError(
            f"{len(wrong)} training rows do not have exactly one 1 in the columns of data.label_from.one_hot",
            code="D31",
            cases=wrong,
            hint="data.label=null and no data.label_from.one_hot, if a row may have several labels or none",
        )
    return found


def _digit(cell: str) -> str:
    """`0` or `1` for a cell that is this number, `?` for any other."""
    value = number_of(cell)
    return str(value) if value in (0, 1) else "?"
