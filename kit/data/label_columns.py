"""Columns that labels are made of: one per class, parts of file names, words for files, ranges of numbers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kit.data.csv_file import is_number, read_class_list, read_table, unknown_column
from kit.data.long_rows import read_long_rows
from kit.data.spelling import number_of
from kit.errors import Case, ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from kit.config.models import Data

LABEL = "label"  # the column of a regular expression's only group, and of the name of the column with the 1


def columns_of_names(names: Sequence[str], ids: Sequence[str], data: Data) -> dict[str, list[str]]:
    """Returns the groups of `data.label_from.regex` in the rows' image paths, one column each; empty without a regex.

    Raises DataError D30 for paths that do not match.
    """
    regex = data.label_from.regex
    if regex is None:
        return {}
    pattern = re.compile(regex)
    matches = [pattern.search(name) for name in names]
    unmatched = [
        Case(f"{name!r} does not match", "", row, "train", "D30")
        for row, name, match in zip(ids, names, matches, strict=True)
        if match is None
    ]
    if unmatched:
        count = (
            "no image path matches"
            if len(unmatched) == len(names)
            else f"{len(unmatched)} image paths do not match"
        )
        raise DataError(
            f"{count} data.label_from.regex {regex!r}",
            code="D30",
            cases=unmatched,
            hint="kit searches the regular expression in the path below the image folder, such as "
            f"{names[0]!r}; a group in parentheses is the label",
        )
    groups = dict(pattern.groupindex) or {LABEL: 1}
    return {name: [(match[at] or "") if match else "" for match in matches] for name, at in groups.items()}


def names_of_ones(
    columns: Mapping[str, Sequence[str]], wanted: Sequence[str], ids: Sequence[str]
) -> list[str]:
    """Returns the column, among those of `data.label_from.one_hot`, in which each row has its 1.

    Raises ConfigError C07 for unknown columns, DataError D31 for rows without exactly one 1 and otherwise
    zeros.
    """
    unknown = [name for name in wanted if name not in columns]
    if unknown:
        raise unknown_column(unknown[0], columns, "data.label_from.one_hot")
    cells = [columns[name] for name in wanted]
    digit = {cell: _digit(cell) for cell in set().union(*cells)}
    wrong: list[Case] = []
    labels: list[str] = []
    for row, *given in zip(ids, *cells, strict=True):
        digits = "".join(digit[cell] for cell in given)
        if digits.count("1") == 1 and digits.count("0") == len(digits) - 1:
            labels.append(wanted[digits.index("1")])
            continue
        ones = [name for name, digit_of_class in zip(wanted, digits, strict=True) if digit_of_class == "1"]
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
    return labels


def _digit(cell: str) -> str:
    """Returns `0` or `1` for a cell with this number, `?` for any other."""
    value = number_of(cell)
    return str(value) if value in (0, 1) else "?"


def words_of_files(stems: Sequence[str], word_of_pattern: Mapping[str, str], ids: Sequence[str]) -> list[str]:
    """Returns the word of the first pattern that each stem matches."""
    word_of_stem = {
        stem: next((word for glob, word in word_of_pattern.items() if fnmatchcase(stem, glob)), None)
        for stem in set(stems)
    }
    cases = [
        Case(f"no pattern for {stem!r}", "", row, "train", "D30")
        for row, stem in zip(ids, stems, strict=True)
        if word_of_stem[stem] is None
    ]
    if cases:
        raise DataError(
            f"{len(cases)} images match no pattern of data.label_from.files",
            code="D30",
            cases=cases,
            hint=f"its patterns: {', '.join(word_of_pattern)}",
        )
    return [word_of_stem[stem] or "" for stem in stems]


def ranges_of_numbers(
    cells: Sequence[str], name: str, edges: Sequence[float], ids: Sequence[str]
) -> list[str]:
    """Returns `<30`, `30-60` (30 included, 60 not) or `>=60` for each number."""
    if list(edges) != sorted(set(edges)) or not edges:
        raise ConfigError(f"data.label_from.bins.{name}: edges must increase, not {list(edges)}", code="C02")
    texts = [f"{edge:g}" for edge in edges]
    names = [f"<{texts[0]}", *(f"{low}-{high}" for low, high in pairwise(texts)), f">={texts[-1]}"]
    cases = [
        Case(f"{name} is {cell!r}, not a number", "", row, "train", "D31")
        for row, cell in zip(ids, cells, strict=True)
        if not is_number(cell)
    ]
    if cases:
        raise DataError(f"{len(cases)} cells of column {name!r} are not numbers", code="D31", cases=cases)
    places = np.searchsorted(np.asarray(edges), [float(cell) for cell in cells], side="right")
    return [names[index] for index in places]


def class_columns(root: Path, data: Data, columns: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Returns the classes if each is a column: those of `data.class_list` or `data.long`, else those of the sample.

    The sample's are its columns after the id, or the classes of its rows if it has one row per id and class.
    Raises ConfigError C07 if neither names classes, if the training table lacks one, or if the config makes
    labels in another way.
    """
    idle = ["data.label_separator"] if data.label_separator else []
    idle += [f"data.label_from.{key}" for key, value in data.label_from if value]
    if idle:
        text = f"data.label names no single column, so labels are columns and {', '.join(idle)} has no effect"
        raise ConfigError(text, code="C07", hint="data.label=<column or pattern>, or remove these keys")
    if isinstance(data.label, tuple):
        names = data.label
    elif data.class_list:
        names = tuple(row[0] for row in read_class_list(root, data).rows)
    elif data.long.classes:
        names = data.long.classes
    else:
        names = _classes_of_sample(root, data, columns)
    missing = [
        Case(f"no such column{did_you_mean(name, columns)}", name)
        for name in names
        if column_of(name, columns) is None
    ]
    if missing or not names:
        what = (
            f"{len(missing)} labels are not columns of {data.train}"
            if missing
            else "the columns of labels are unknown"
        )
        raise ConfigError(
            f"{'data.label lists columns' if data.label else 'data.label is null'}, and {what}",
            code="C07",
            cases=missing,
            hint="data.label=<column>, a list of columns, or data.class_list with a CSV that lists them",
        )
    return names


def _classes_of_sample(root: Path, data: Data, columns: Collection[str]) -> tuple[str, ...]:
    """Returns the columns of the sample after the id, or the columns of the training table that its rows
    name, if they do.
    """
    if not data.sample:
        return ()
    sample = read_table(root, data, data.sample)
    names = sample.columns[1:]
    if any(column_of(name, columns) is not None for name in names):
        return names
    rows = read_long_rows(sample.frame(), list(columns), None)
    return names if rows is None else tuple(dict.fromkeys(rows.classes))


def column_of(name: str, columns: Iterable[str]) -> str | None:
    """Returns the column of a class: of its name, else the only one that is the same number; None without one."""
    if name in columns:
        return name
    value = number_of(name)
    same = [column for column in columns if value is not None and number_of(column) == value]
    return same[0] if len(same) == 1 else None


def multi_hot_from_columns(
    columns: Mapping[str, Sequence[str]], classes: Sequence[str], ids: Sequence[str]
) -> np.ndarray:
    """Returns 0 and 1, int8 (rows, classes), from one column per class. Raises DataError D31 for other cells."""
    cells = {name: columns[column_of(name, columns) or name] for name in classes}
    value = {cell: number_of(cell) for cell in set().union(*cells.values())}
    wrong = [
        Case(f"column {name!r} holds {cell!r}", id=row, split="train", code="D31")
        for name in classes
        for row, cell in zip(ids, cells[name], strict=True)
        if value[cell] not in (0, 1)
    ]
    if wrong:
        raise DataError(f"{len(wrong)} cells of the class columns are not 0 or 1", code="D31", cases=wrong)
    return np.array([[value[cell] == 1 for cell in cells[name]] for name in classes], dtype=np.int8).T.copy()
