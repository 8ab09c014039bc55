"""Labels of a table: a column or several, one label or several a row, and the values that make up a class."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kit.data.csv_file import is_number
from kit.data.image_paths import columns_of, fill
from kit.data.label_columns import LABEL, names_of_ones
from kit.data.long_rows import read_long_rows
from kit.data.rows import read_class_list, read_table
from kit.data.spelling import as_numbers, fold_spelling, number_of, rename_labels
from kit.errors import Case, ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from kit.config.models import Data

Cells = list[tuple[str, ...]]


def split_labels(columns: Mapping[str, Sequence[str]], data: Data, separator: str) -> Cells:
    """Every row's labels, by the column or pattern `data.label`, before `data.label_from.rename`; a row may have no
    label."""
    return [split_cell(cell, separator) for cell in fill(str(data.label), columns, "data.label")]


def class_columns(root: Path, data: Data, columns: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The classes where each is a column: those of `data.class_list` or `data.long`, else those of the sample.

    They are the sample's columns after the id, or the classes of its rows if it has a row for each id and class.
    Raises ConfigError C07 where neither names any, the training table lacks one, or the config says how labels are
    made otherwise.
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
    lost = [
        Case(f"no such column{did_you_mean(name, columns)}", name)
        for name in names
        if column_of(name, columns) is None
    ]
    if lost or not names:
        what = (
            f"{len(lost)} labels are not columns of {data.train}"
            if lost
            else "the columns of labels are unknown"
        )
        raise ConfigError(
            f"{'data.label lists columns' if data.label else 'data.label is null'}, and {what}",
            code="C07",
            cases=lost,
            hint="data.label=<column>, a list of columns, or data.class_list with a CSV that lists them",
        )
    return names


def _classes_of_sample(root: Path, data: Data, columns: Collection[str]) -> tuple[str, ...]:
    """The columns of the sample after the id; or the columns of the training table that its rows name, if they do."""
    if not data.sample:
        return ()
    sample = read_table(root, data, data.sample)
    names = sample.columns[1:]
    if any(column_of(name, columns) is not None for name in names):
        return names
    rows = read_long_rows(sample.frame(), list(columns), None)
    return names if rows is None else tuple(dict.fromkeys(rows.classes))


def column_of(name: str, columns: Iterable[str]) -> str | None:
    """The column of a class: of its name, else the only one that is the same number; None if there is none."""
    if name in columns:
        return name
    value = number_of(name)
    same = [column for column in columns if value is not None and number_of(column) == value]
    return same[0] if len(same) == 1 else None


def multi_hot_from_columns(
    columns: Mapping[str, Sequence[str]], classes: Sequence[str], ids: Sequence[str]
) -> np.ndarray:
    """0 and 1, int8 (rows, classes), of a column a class. Raises DataError D31 for cells that are neither."""
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


def split_cell(cell: str, separator: str) -> tuple[str, ...]:
    """The labels in a cell, without blanks around them; nothing between two separators is no label."""
    found = cell.split() if separator.isspace() else map(str.strip, cell.split(separator))
    return tuple(part for part in found if part)


def check_separator(classes: Sequence[str], separator: str) -> None:
    """Raises ConfigError C07 for classes that the separator takes apart."""
    torn = [name for name in classes if split_cell(name, separator) != (name,)]
    if torn:
        raise ConfigError(
            f"data.label_separator {separator!r} occurs in the names of {len(torn)} classes",
            code="C07",
            cases=torn,
            hint="data.label_separator=null if a cell is one label",
        )


def multi_hot(cells: Cells, classes: Sequence[str], ids: Sequence[str]) -> np.ndarray:
    """0 and 1, int8 (rows, classes), of labels that are all classes. Raises DataError D19 for one there twice."""
    number = {name: index for index, name in enumerate(classes)}
    _refuse_double(cells, ids)
    made = np.zeros((len(cells), len(classes)), dtype=np.int8)
    for row, labels in enumerate(cells):
        made[row, [number[label] for label in labels]] = 1
    return made


def _refuse_double(cells: Cells, ids: Sequence[str]) -> None:
    cases = [
        Case(f"has {_double(labels)!r} twice", id=row, split="train", code="D19")
        for row, labels in zip(ids, cells, strict=True)
        if len(set(labels)) < len(labels)
    ]
    if cases:
        raise DataError(f"{len(cases)} training rows have a label twice", code="D19", cases=cases)


def _double(labels: tuple[str, ...]) -> str:
    return next(label for label in labels if labels.count(label) > 1)


Factors = tuple[tuple[str, ...], ...]  # of each class, the value of each factor


def class_factors(
    root: Path, data: Data, classes: Sequence[str], labels: Sequence[str], parts: Mapping[str, Sequence[str]]
) -> Factors:
    """Each class's values of `data.label_parts`; empty where the competition names none.

    They are columns of `data.class_list`, else parts that the training rows' labels are made of (columns, words for
    files, number ranges). Raises ConfigError C07 for a factor that is neither, DataError D22 for a class without
    one value of each.
    """
    wanted = data.label_parts
    if not wanted:
        return ()
    found = _read_listed(root, data, wanted) or _of_rows(wanted, classes, labels, parts)
    blank = [
        Case(f"{name} is blank", label, code="D22")
        for label, values in zip(classes, found, strict=True)
        for name, value in zip(wanted, values, strict=True)
        if not value.strip()
    ]
    if blank:
        raise DataError(f"{len(blank)} factors of classes are blank", code="D22", cases=blank)
    return found


def _read_listed(root: Path, data: Data, wanted: Sequence[str]) -> Factors:
    """The values that `data.class_list` lists; empty where it has none of the columns."""
    if data.class_list is None:
        return ()
    file = read_class_list(root, data)
    if not set(wanted) & set(file.columns):
        return ()
    _check_known(wanted, file.columns, str(file.path))
    places = [file.columns.index(name) for name in wanted]
    return tuple(tuple(row[place] for place in places) for row in file.rows)


def _check_known(wanted: Sequence[str], columns: Sequence[str], source: str) -> None:
    unknown = [
        Case(f"no such column{did_you_mean(name, columns)}", name) for name in wanted if name not in columns
    ]
    if unknown:
        raise ConfigError(
            f"data.label_parts names {len(unknown)} columns that are not in {source}",
            code="C07",
            cases=unknown,
            hint=f"its columns: {', '.join(columns)}",
        )


def _of_rows(
    wanted: Sequence[str], classes: Sequence[str], labels: Sequence[str], parts: Mapping[str, Sequence[str]]
) -> Factors:
    """The values that the rows of each class have, which must agree."""
    _check_known(wanted, tuple(parts), "the training table")
    seen: dict[str, set[tuple[str, ...]]] = {label: set() for label in classes}
    for label, *values in zip(labels, *(_one_spelling(parts[name]) for name in wanted), strict=True):
        seen.setdefault(label, set()).add(tuple(values))
    wrong = [Case(_fault(found), label, code="D22") for label, found in seen.items() if len(found) != 1]
    if wrong:
        raise DataError(
            f"{len(wrong)} of {len(classes)} classes do not have exactly one value of each of "
            f"{', '.join(wanted)}",
            code="D22",
            cases=wrong,
            hint="set data.class_list to a CSV with these columns for every class",
        )
    return tuple(next(iter(seen[label])) for label in classes)


def _one_spelling(values: Sequence[str]) -> list[str]:
    """The values of a factor, those that are equal as numbers in one spelling."""
    spelled = as_numbers(values)
    return [spelled.get(value, value) for value in values]


def _fault(found: set[tuple[str, ...]]) -> str:
    shown = " and ".join("/".join(values) for values in sorted(found)[:3])
    return f"its rows have {shown}" if found else "it has no training row with values"


def label_parts(
    columns: Mapping[str, Sequence[str]], data: Data, ids: Sequence[str]
) -> dict[str, Sequence[str]]:
    """What a label may be made of, a text a row: the columns, words for files, number ranges.

    Raises DataError D30 for a file without a word, D31 for a number that is none.
    """
    parts = dict(columns)
    if data.label_from.one_hot:
        parts[LABEL] = names_of_ones(columns, data.label_from.one_hot, ids)
    if "file" in columns_of(str(data.label)) and data.label_from.files:
        parts["file"] = _words(columns["file"], data.label_from.files, ids)
    for name, edges in data.label_from.bins.items():
        parts[name] = _ranges(fill(name, columns, "data.label_from.bins"), name, edges, ids)
    return parts


def compose_labels(parts: Mapping[str, Sequence[str]], data: Data, ids: Sequence[str]) -> list[str]:
    """Every row's label as text, by the column or pattern `data.label`, before `data.label_from.rename`.

    Raises DataError D30 for a row without one, of which there is nothing to see.
    """
    made = fill(str(data.label), parts, "data.label")
    blank = [
        Case("no label", "", row, "train", "D30")
        for row, label in zip(ids, rename_labels(made, data.label_from.rename), strict=True)
        if not fold_spelling(label)
    ]
    if blank:
        raise DataError(f"{len(blank)} training rows have no label", code="D30", cases=blank)
    return made


def _words(stems: Sequence[str], words: Mapping[str, str], ids: Sequence[str]) -> list[str]:
    """The word of the first pattern that each stem matches."""
    made = {
        stem: next((word for glob, word in words.items() if fnmatchcase(stem, glob)), None)
        for stem in set(stems)
    }
    cases = [
        Case(f"no pattern for {stem!r}", "", row, "train", "D30")
        for row, stem in zip(ids, stems, strict=True)
        if made[stem] is None
    ]
    if cases:
        raise DataError(
            f"{len(cases)} images match no pattern of data.label_from.files",
            code="D30",
            cases=cases,
            hint=f"its patterns: {', '.join(words)}",
        )
    return [made[stem] or "" for stem in stems]


def _ranges(cells: Sequence[str], name: str, edges: Sequence[float], ids: Sequence[str]) -> list[str]:
    """`<30`, `30-60` (30 included, 60 not) or `>=60` for each number."""
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
    return [names[place] for place in places]


def superclasses(root: Path, data: Data) -> tuple[str, ...]:
    """The group of each class, in class order, from a column of `data.class_list`; empty where none is named.

    Raises ConfigError where there is no such file or column.
    """
    if data.superclasses is None:
        return ()
    if data.class_list is None:
        raise ConfigError("data.superclasses needs data.class_list, the CSV with that column", code="C07")
    file = read_class_list(root, data)
    if data.superclasses not in file.columns:
        hint = f"data.superclasses is one of {', '.join(file.columns[1:])}"
        close = did_you_mean(data.superclasses, file.columns)
        raise ConfigError(f"{file.path} has no column {data.superclasses!r}{close}", code="C07", hint=hint)
    place = file.columns.index(data.superclasses)
    return tuple(row[place] for row in file.rows)


def encode_labels(labels: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Class numbers, int64 (rows,), of labels that are all classes."""
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number[label] for label in labels], dtype=np.int64)
