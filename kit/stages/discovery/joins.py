"""Finds tables that have more columns of the rows: labels, groups, and what the test table has too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kit.data.csv_file import CsvFile
from kit.errors import ConfigError
from kit.stages.discovery import choosing, roles
from kit.stages.discovery.file_scan import Scan, TableFile

MIN_COVERED = 0.5  # of the rows' keys must be in a table of labels; reading it names the others
MAX_DOUBLE = 0.2  # of such a table's rows may repeat a key, which is an error too
MAX_KEYS_PROBED = 50  # keys that are compared first, so that most tables cost nothing


@dataclass(frozen=True)
class Joins:
    """The tables with the joined columns, the key `data.join`, the names of the joined tables and the findings."""

    train: TableFile
    test: TableFile | None
    join: tuple[dict[str, Any], ...] = ()
    used: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


def find_joins(
    seen: Scan,
    train: TableFile,
    image_column: str,
    sample: TableFile | None,
    test: TableFile | None,
    asked: Mapping[str, str],
) -> Joins:
    """The tables that are joined to the rows: those that are asked for, else those that have a label or a group.

    Raises ConfigError C20 for a given table that does not exist, and C05 for one without its column.
    """
    found = Joins(train, test)
    if "join" in asked:
        return _join_as_asked(seen, found, asked)
    others = [sheet for sheet in seen.sheets if sheet not in (train, test, sample)]
    for sheet in others:
        named = roles.words(sheet.name)
        if named & (roles.SAMPLE | roles.SUBMISSION | roles.OTHER) and not roles.is_ground_truth(sheet.name):
            continue
        on = _key(sheet, found.train, image_column) or _key_of_answers(sheet, found.train, sample)
        if on is None:
            continue
        why = _use(sheet, found.train, sample, test)
        if why:
            found = _join(found, sheet, on, on, why)
        elif on == image_column and len(sheet.columns) > 1:
            new = [name for name in sheet.columns if name not in found.train.columns]
            if new:
                more = f"{sheet.name} has more columns of the labelled rows ({', '.join(new[:5])})"
                text = f"{more}: kit init --join {sheet.name} --on {on} adds them"
                found = replace(found, findings=(*found.findings, text))
    return found


def _join_as_asked(seen: Scan, found: Joins, asked: Mapping[str, str]) -> Joins:
    sheet = choosing.find_table(seen, asked["join"], "--join")
    on, _, key = asked.get("on", "").partition("=")
    shared = [name for name in sheet.columns if name in found.train.columns]
    on = on or (shared[0] if len(shared) == 1 else "")
    if not on:
        both = f"both have {', '.join(shared)}" if shared else "no column is in both"
        raise ConfigError(
            f"--join {sheet.name}: the column of the keys is unknown; {both}",
            code="C20",
            hint="kit init --on COLUMN, or --on COLUMN=COLUMN if it has another name in the joined table",
        )
    for name, table in ((on, found.train), (key or on, sheet)):
        if "{" not in name and name not in table.columns:
            raise ConfigError(
                f"--on: {table.name} has no column {name!r}", code="C20", hint=", ".join(table.columns)
            )
    return _join(found, sheet, on, key or on, "as given")


def _key(sheet: TableFile, train: TableFile, image_column: str) -> str | None:
    """The column of both tables that has each value once in the other table, among them all of the rows' values."""
    shared = [name for name in sheet.columns if name in train.columns]
    for name in sorted(shared, key=lambda name: name != image_column):
        cells = sheet.file.column(name)
        keys = set(cells)
        if len(keys) < len(cells):
            continue
        wanted = train.file.column(name)
        step = max(len(wanted) // MAX_KEYS_PROBED, 1)
        if all(cell in keys for cell in wanted[::step]) and keys.issuperset(wanted):
            return name
    return None


def _key_of_answers(sheet: TableFile, train: TableFile, sample: TableFile | None) -> str | None:
    """The column by which a table with the sample's answer columns fits the rows, apart from faults."""
    answers = sample.columns[1:] if sample else ()
    if not answers or set(answers) & set(train.columns) or not set(answers) <= set(sheet.columns):
        return None
    for name in (name for name in sheet.columns if name in train.columns):
        keys, cells = sheet.values(name), train.file.column(name)
        doubles = 1 - len(keys) / len(sheet.file)
        if doubles <= MAX_DOUBLE and sum(cell in keys for cell in cells) >= MIN_COVERED * len(cells):
            return name
    return None


def _use(sheet: TableFile, train: TableFile, sample: TableFile | None, test: TableFile | None) -> str:
    """What a table's further columns are good for, in words; blank if for nothing that kit uses."""
    new = [name for name in sheet.columns if name not in train.columns]
    answers = [name for name in (sample.columns[1:] if sample else ()) if name not in train.columns]
    if answers and set(answers) <= set(new):
        return f"it has the sample's {', '.join(answers[:3])}{', …' if len(answers) > 3 else ''}"
    if answers and sample and len(answers) == 1 and _has_labels_of(sheet, new, sample, train):
        return "it has the sample's labels"
    groups = [name for name in new if roles.words(name) & roles.GROUPS and _repeats(sheet, name)]
    if groups and not any(roles.words(name) & roles.GROUPS for name in train.columns):
        return f"it has the groups {groups[0]}"
    both = [name for name in new if test and name in test.columns]
    return f"the test table has {', '.join(both[:3])}{', …' if len(both) > 3 else ''} too" if both else ""


def _has_labels_of(sheet: TableFile, new: Sequence[str], sample: TableFile, train: TableFile) -> bool:
    shown = roles.sample_labels(sample)
    if len(shown) < 2 or any(shown <= train.values(name) for name in train.columns):
        return False
    return any(shown <= sheet.values(name) for name in new)


def _repeats(sheet: TableFile, name: str) -> bool:
    return 1 < len(sheet.values(name)) < len(sheet.file)


def _join(found: Joins, sheet: TableFile, on: str, key: str, why: str) -> Joins:
    test = found.test
    for_test = (
        test is not None
        and on in test.columns
        and set(sheet.file.column(key)).issuperset(test.file.column(on))
    )
    join = {"table": sheet.name, "on": on}
    join |= {"key": key} if key != on else {}
    join |= {"rows": "all"} if for_test else {}
    text = (
        f"joined: {sheet.name} by {on!r}, because {why}"
        if why != "as given"
        else f"joined: {sheet.name} by {on!r}"
    )
    return Joins(
        found.train.with_file(_wide(found.train.file, sheet, on, key)),
        test.with_file(_wide(test.file, sheet, on, key)) if test is not None and for_test else test,
        (*found.join, join),
        (*found.used, sheet.name),
        (*found.findings, text),
    )


def _wide(file: CsvFile, sheet: TableFile, on: str, key: str) -> CsvFile:
    """A table with the new columns of another one; keys that it lacks give blank cells."""
    if on not in file.columns:
        return file
    new = [place for place, name in enumerate(sheet.columns) if name not in file.columns]
    at = dict(zip(sheet.file.column(key), sheet.file.rows, strict=True))
    blank = ("",) * len(sheet.columns)
    rows = tuple(
        (*row, *(at.get(cell, blank)[place] for place in new))
        for row, cell in zip(file.rows, file.column(on), strict=True)
    )
    return replace(file, columns=(*file.columns, *(sheet.columns[place] for place in new)), rows=rows)
