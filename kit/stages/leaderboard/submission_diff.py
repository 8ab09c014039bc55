"""SubmittedAnswers: the answer of each row in a submission's file, and the distance of two submissions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kit.core.files import read_json
from kit.data.csv_file import CsvFile, read_submission
from kit.errors import Case, InvalidError
from kit.kinds.decision import Decision, upgrade_record
from kit.kinds.target_json import read_target


@dataclass(frozen=True, eq=False)
class SubmittedAnswers:
    """A submission's answers, one per id: a decision in words and, if it has numbers, those (rows, columns)."""

    ids: tuple[str, ...]
    decisions: tuple[str, ...]
    numbers: np.ndarray | None = None


def read_answers(path: Path, sep: str = ",", encoding: str = "utf-8") -> SubmittedAnswers:
    """Returns a submission's answers. If an id has several rows, or several labels in columns, the first decides.

    If kit's record has several labels per row, the decision rule of the record assigns them. Raises DataError
    for an unreadable file.
    """
    file = read_submission(path, sep, encoding)
    first = {row[0]: row for row in reversed(file.rows)}
    rows = [first[name] for name in dict.fromkeys(row[0] for row in file.rows)]
    shape, rule = _record(path)
    numbers = _numbers(rows) if _has_numbers(shape, file) else None
    decisions = _decisions(rows, file.columns, numbers, rule)
    return SubmittedAnswers(tuple(row[0] for row in rows), decisions, numbers)


def _record(path: Path) -> tuple[str, Decision | None]:
    """Returns the format, and the rule if a row may have several labels, from the record beside the file; no
    format without one.

    Numbers of a file of decisions are 0 and 1, which suit any rule.
    """
    try:
        record = upgrade_record(read_json(path.with_suffix(".json")))
        shape, is_multi_label = str(record["format"]["name"]), read_target(record).multi_label
        rule = record.get("decision")
        if not is_multi_label:
            return shape, None
        return shape, Decision() if rule is None or shape == "multi_hot" else Decision.from_spec(rule)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "", None


def _has_numbers(shape: str, file: CsvFile) -> bool:
    """Whether cells are probabilities, by the format, or else if several columns are numbers."""
    if shape in ("probabilities", "binary_probability", "one_hot", "multi_hot"):
        return True
    return shape == "" and len(file.columns) > 2 and len(set(file.column(file.columns[0]))) == len(file)


def _numbers(rows: list[tuple[str, ...]]) -> np.ndarray | None:
    try:
        return np.array([row[1:] for row in rows], dtype=float)
    except ValueError:
        return None


def _decisions(
    rows: list[tuple[str, ...]], columns: tuple[str, ...], numbers: np.ndarray | None, rule: Decision | None
) -> tuple[str, ...]:
    if numbers is None:
        return tuple(row[1] for row in rows)
    if numbers.shape[1] == 1:
        return tuple("0.5 and above" if value >= 0.5 else "below 0.5" for value in numbers[:, 0])
    if rule is not None:
        given = [
            [columns[1 + number] for number in np.flatnonzero(row)] for row in rule.assign_labels(numbers)
        ]
        return tuple(" ".join(names) or "no label" for names in given)
    return tuple(columns[1 + number] for number in numbers.argmax(axis=1))


def _align(one: SubmittedAnswers, other: SubmittedAnswers) -> np.ndarray:
    """Returns the positions of one's ids in the other. Raises InvalidError (D43) if they differ."""
    at = {name: row for row, name in enumerate(other.ids)}
    missing = [name for name in one.ids if name not in at]
    if missing or len(one.ids) != len(other.ids):
        raise InvalidError(
            f"the two submissions have different rows: {len(one.ids)} and {len(other.ids)}",
            code="D43",
            cases=[Case("is in only one of them", id=name) for name in missing],
        )
    return np.array([at[name] for name in one.ids])


def difference(one: SubmittedAnswers, other: SubmittedAnswers) -> float:
    """Returns the distance of two submissions, from 0 to 1: the mean over rows of the largest change of a number.

    If answers are labels, it is the share of rows that differ.
    """
    places = _align(one, other)
    if one.numbers is not None and other.numbers is not None and one.numbers.shape == other.numbers.shape:
        return float(np.abs(one.numbers - other.numbers[places]).max(axis=1).mean())
    pairs = zip(one.decisions, places, strict=True)
    return sum(bool(name != other.decisions[at]) for name, at in pairs) / len(places)


@dataclass(frozen=True)
class Change:
    """Rows that have one answer in one submission and another in the other."""

    before: str
    after: str
    ids: tuple[str, ...]


def changes(one: SubmittedAnswers, other: SubmittedAnswers) -> tuple[Change, ...]:
    """Returns the rows that differ in their decision, by the pair of answers, most frequent first."""
    places = _align(one, other)
    pairs = [
        (name, before, other.decisions[at])
        for name, before, at in zip(one.ids, one.decisions, places, strict=True)
        if before != other.decisions[at]
    ]
    times = Counter((before, after) for _, before, after in pairs)
    return tuple(
        Change(*pair, tuple(name for name, *answers in pairs if tuple(answers) == pair))
        for pair, _ in sorted(times.items(), key=lambda item: (-item[1], item[0]))
    )
