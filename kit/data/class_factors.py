"""Attributes that classes share: the values that make them up, and groups of similar classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kit.data.csv_file import read_class_list
from kit.data.spelling import as_numbers
from kit.errors import Case, ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from kit.config.models import Data

Factors = tuple[tuple[str, ...], ...]  # of each class, the value of each factor


def class_factors(
    root: Path, data: Data, classes: Sequence[str], labels: Sequence[str], parts: Mapping[str, Sequence[str]]
) -> Factors:
    """Returns each class's values of `data.label_parts`; empty if the config names none.

    They are columns of `data.class_list`, or else the parts of the training rows' labels (columns, words for
    files, number ranges). Raises ConfigError C07 for a factor that is neither, DataError D22 for a class
    without exactly one value of each.
    """
    wanted = data.label_parts
    if not wanted:
        return ()
    factors = values_of_classes(root, data, wanted, classes, labels, parts, "label_parts")
    check_blank(classes, wanted, factors, "factors")
    return factors


def values_of_classes(
    root: Path,
    data: Data,
    wanted: Sequence[str],
    classes: Sequence[str],
    labels: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    key: str,
) -> Factors:
    """Returns each class's values of the columns in a key of data: of `data.class_list`, else of the training rows.

    Raises ConfigError C07 for an unknown column, DataError D22 for a class whose rows do not have one value of each.
    """
    return _read_listed(root, data, wanted, key) or _of_rows(wanted, classes, labels, columns, key)


def check_blank(classes: Sequence[str], wanted: Sequence[str], factors: Factors, what: str) -> None:
    """Raises DataError D22 for classes whose value of a column is blank."""
    blank = [
        Case(f"{name} is blank", label, code="D22")
        for label, values in zip(classes, factors, strict=True)
        for name, value in zip(wanted, values, strict=True)
        if not value.strip()
    ]
    if blank:
        raise DataError(f"{len(blank)} {what} of classes are blank", code="D22", cases=blank)


def _read_listed(root: Path, data: Data, wanted: Sequence[str], key: str) -> Factors:
    """Returns the values in `data.class_list`; empty if it has none of the columns."""
    if data.class_list is None:
        return ()
    file = read_class_list(root, data)
    if not set(wanted) & set(file.columns):
        return ()
    _check_known(wanted, file.columns, str(file.path), key)
    places = [file.columns.index(name) for name in wanted]
    return tuple(tuple(row[index] for index in places) for row in file.rows)


def _check_known(wanted: Sequence[str], columns: Sequence[str], source: str, key: str) -> None:
    unknown = [
        Case(f"no such column{did_you_mean(name, columns)}", name) for name in wanted if name not in columns
    ]
    if unknown:
        raise ConfigError(
            f"data.{key} names {len(unknown)} columns that are not in {source}",
            code="C07",
            cases=unknown,
            hint=f"its columns: {', '.join(columns)}",
        )


def _of_rows(
    wanted: Sequence[str],
    classes: Sequence[str],
    labels: Sequence[str],
    parts: Mapping[str, Sequence[str]],
    key: str,
) -> Factors:
    """Returns the values of each class's rows, which must agree."""
    _check_known(wanted, tuple(parts), "the training table", key)
    seen: dict[str, set[tuple[str, ...]]] = {label: set() for label in classes}
    for label, *values in zip(labels, *(_one_spelling(parts[name]) for name in wanted), strict=True):
        seen.setdefault(label, set()).add(tuple(values))
    wrong = [
        Case(_fault(values_of_label), label, code="D22")
        for label, values_of_label in seen.items()
        if len(values_of_label) != 1
    ]
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
    """Returns the values of a factor; those that are equal as numbers have one spelling."""
    spelled = as_numbers(values)
    return [spelled.get(value, value) for value in values]


def _fault(values_seen: set[tuple[str, ...]]) -> str:
    values_shown = " and ".join("/".join(values) for values in sorted(values_seen)[:3])
    return f"its rows have {values_shown}" if values_seen else "it has no training row with values"


def superclasses(root: Path, data: Data) -> tuple[str, ...]:
    """Returns the group of each class, in class order, from a column of `data.class_list`.

    It is empty if the config names none. Raises ConfigError if the file or the column does not exist.
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
    index = file.columns.index(data.superclasses)
    return tuple(row[index] for row in file.rows)
