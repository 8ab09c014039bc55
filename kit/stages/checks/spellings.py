"""Spellings: classes that may be one class under several names, and labels that are already joined."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from kit.data.spelling import fold_spelling, is_tidy, number_of, quote, rename_line
from kit.data.table import Table
from kit.errors import Case
from kit.stages.checks.finding import Finding


def check_class_spellings(train: Table, rename: Mapping[str, str]) -> Iterator[Finding]:
    """Yields K40 for classes whose names differ only in case, blanks, encoding or number; K41 for numbers
    read as one class.

    `rename` is `data.label_from.rename`, which the fix repeats and extends.
    """
    counts = dict(zip(train.classes, train.counts().tolist(), strict=True))
    by_key: dict[str, list[str]] = defaultdict(list)
    for name in train.classes:
        by_key[fold_spelling(name)].append(name)
    for level in ("warning", "note"):
        groups = [
            sorted(names, key=lambda name: (not is_tidy(name), -counts[name], name))
            for names in by_key.values()
            if len(names) > 1 and _are_letters(names) == (level == "note")
        ]
        if groups:
            yield Finding(
                "K40",
                level,
                f"{sum(map(len, groups))} classes may be only {len(groups)}: their names differ by case, "
                "blanks, invisible characters, encoding or the spelling of a number",
                "a class with two names has fewer training rows per name, and predictions of the other "
                "name count as wrong",
                _answer(train, {name: names[0] for names in groups for name in names[1:]}, rename),
                tuple(Case(_with_counts(names, counts)) for names in groups),
            )
    yield from _of_numbers(train, rename)


def _are_letters(names: Sequence[str]) -> bool:
    """Whether the names are one letter in both cases, which are two classes in handwriting."""
    return all(len(name) == 1 for name in names)


def _answer(train: Table, right: Mapping[str, str], rename: Mapping[str, str]) -> str:
    more = {spelling.label: right[spelling.name] for spelling in train.spellings if spelling.name in right}
    if not more:
        return "list each class once in data.class_list"
    return f"{rename_line(rename, more)}, if they are one class"


def _with_counts(names: Sequence[str], counts: Mapping[str, int]) -> str:
    return " and ".join(f"{quote(name)} ({counts[name]} row{'s' * (counts[name] != 1)})" for name in names)


def _of_numbers(train: Table, rename: Mapping[str, str]) -> Iterator[Finding]:
    """Yields K41: labels of one class that the table writes as several numbers."""
    by_name: dict[str, dict[str, int]] = defaultdict(dict)
    for spelling in train.spellings:
        if spelling.label not in rename and number_of(spelling.label) is not None:
            by_name[spelling.name][spelling.label] = spelling.rows
    respelled = {name: rows for name, rows in by_name.items() if len(rows) > 1}
    if respelled:
        more = {row: name for name, rows in respelled.items() for row in rows if row != name}
        yield Finding(
            "K41",
            "note",
            f"{len(respelled)} classes are written as several numbers",
            "labels that are equal as numbers are read as one class",
            f"nothing, or make it explicit: {rename_line(rename, more)}",
            tuple(
                Case(f"{_with_counts(list(rows), rows)} are class {quote(name)}")
                for name, rows in respelled.items()
            ),
        )
