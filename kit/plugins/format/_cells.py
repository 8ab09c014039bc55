"""Faults of cells: labels that are not classes, values that are not numbers; by the position of their row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from kit.data.csv_file import is_number
from kit.errors import did_you_mean

MAX_SUGGESTIONS = 20  # wrong labels whose nearest class is searched

Faults = list[tuple[int, str]]


def no_classes(rows: Iterable[Sequence[str]], classes: Sequence[str]) -> Faults:
    """Returns the rows with a label that is not a class."""
    known, suggestions = set(classes), dict[str, str]()
    faults = []
    for row, labels in enumerate(rows):
        for label in labels:
            if label not in known:
                if label not in suggestions:
                    suggestions[label] = (
                        did_you_mean(label, classes) if len(suggestions) < MAX_SUGGESTIONS else ""
                    )
                faults.append((row, f"{label!r} is not a class{suggestions[label]}"))
    return faults


def doubles(rows: Iterable[Sequence[str]]) -> Faults:
    """Returns the rows with a duplicate label."""
    faults = []
    for row, labels in enumerate(rows):
        twice = next((label for label in labels if list(labels).count(label) > 1), None)
        if twice is not None:
            faults.append((row, f"{twice!r} is there twice"))
    return faults


def no_shares(cells: Iterable[str], column: str) -> Iterator[tuple[int, str]]:
    """Yields the rows whose cell in this column is not a number from 0 to 1."""
    for row, cell in enumerate(cells):
        try:
            right = 0 <= float(cell) <= 1
        except ValueError:
            right = False
        if not right:
            yield row, f"column {column!r} holds {cell!r}, no number from 0 to 1"


def no_numbers(cells: Iterable[str], column: str) -> Iterator[tuple[int, str]]:
    """Yields the rows whose cell in this column is not a finite number."""
    for row, cell in enumerate(cells):
        if not is_number(cell):
            yield row, f"column {column!r} holds {cell!r}, not a finite number"
