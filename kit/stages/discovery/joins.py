"""Finds tables with more columns of the rows: labels, groups, and columns that the test table has too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kit.data.csv_file import CsvFile, is_number
from kit.errors import ConfigError
from kit.stages.discovery import choosing, roles
from kit.stages.discovery.file_scan import Scan, TableFile

MIN_COVERED = 0.5  # share of the rows' keys in a table of labels; reading it reports the missing ones
MAX_DOUBLE = 0.2  # share of such a table's rows that may repeat a key, which is an error too
COMMON_WORDS = frozenset({"id", "csv", "json", "train", "test", "data", "label", "table"})  # of unlike keys
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
    options: Mapping[str, str],
) -> Joins:
    """Returns the tables that are joined to the rows: the requested ones, else those that have a label or a group.

    A table may be joined by a column of another joined table. Raises ConfigError C20 for a given table that does not
    exist, or without its column.
    """
    joins = Joins(train, test)
    if "join" in options:
        return _join_as_asked(seen, joins, options)
    others = [
        sheet
        for sheet in seen.sheets
        if sheet not in (train, test, sample)
        and (
            not roles.words(sheet.name) & (roles.SAMPLE | roles.SUBMISSION | roles.OTHER)
            or roles.is_ground_truth(sheet.name)
        )
    ]
    while others:
        count = len(joins.used)
        for sheet in others:
            on = _key(sheet, joins.train, image_column) or _key_of_answers(sheet, joins.train, sample)
            why = _use(sheet, joins.train, sample, test) if on else ""
            if on and why:
                joins = _join(joins, sheet, on, on, why)
            elif not on:
                joins = _join_by_another_name(joins, sheet, sample)
        if len(joins.used) == count:
            joins = _join_bridge(joins, others, image_column, sample)
        if len(joins.used) == count:
            break
        others = [sheet for sheet in others if sheet.name not in joins.used]
    for sheet in others:
        if _key(sheet, joins.train, image_column) == image_column and len(sheet.columns) > 1:
            new = [name for name in sheet.columns if name not in joins.train.columns]
            if new:
                more = f"{sheet.name} has more columns of the labelled rows ({', '.join(new[:5])})"
                text = f"{more}: kit init --join {sheet.name} --on {on} adds them"
                joins = replace(joins, findings=(*joins.findings, text))
    return joins


def _join_by_another_name(joins: Joins, sheet: TableFile, sample: TableFile | None) -> Joins:
    """Joins a table with the sample's answers whose keys have another name, if exactly one way is possible."""
    why = _use_of_answers(sheet, joins.train, sample)
    keys = _keys_of_other_names(sheet, joins.train) if why else []
    return _join(joins, sheet, *keys[0], why) if len(keys) == 1 else joins


def _join_bridge(
    joins: Joins, others: Sequence[TableFile], image_column: str, sample: TableFile | None
) -> Joins:
    """Joins a table with the keys of another one, which has the sample's answers."""
    for bridge in others:
        on = _key(bridge, joins.train, image_column)
        for sheet in others if on else ():
            if sheet is bridge or not _use_of_answers(sheet, joins.train, sample):
                continue
            shared = _key(sheet, bridge, "")
            keys = [(shared, shared)] if shared else _keys_of_other_names(sheet, bridge)
            if on and len(keys) == 1 and keys[0][0] not in joins.train.columns:
                return _join(joins, bridge, on, on, f"{sheet.name} is joined by its {keys[0][0]}")
    return joins


def _join_as_asked(seen: Scan, joins: Joins, options: Mapping[str, str]) -> Joins:
    """Joins the given tables in their order. A later one may be joined by a column of an earlier one."""
    known = {sheet.name for sheet in seen.sheets}
    names = [options["join"]] if options["join"] in known else options["join"].split(",")
    columns = options["on"].split(",") if "on" in options else []
    if len(columns) > len(names):
        raise ConfigError(
            f"--on has {len(columns)} columns for {len(names)} joined tables",
            code="C20",
            hint="kit init --join A.csv --on COLUMN --join B.csv --on COLUMN",
        )
    for index, name in enumerate(names):
        given = columns[index] if index < len(columns) else ""
        joins = _join_one_as_asked(joins, choosing.find_table(seen, name, "--join"), given)
    return joins


def _join_one_as_asked(joins: Joins, sheet: TableFile, given: str) -> Joins:
    on, _, key = given.partition("=")
    shared = [name for name in sheet.columns if name in joins.train.columns]
    on = on or (shared[0] if len(shared) == 1 else "")
    others = [] if on or shared else _keys_of_other_names(sheet, joins.train)
    if len(others) == 1:
        on, key = others[0]
    if not on:
        both = f"both have {', '.join(shared)}" if shared else "no column is in both"
        ways = (
            f", and {' or '.join(f'{one}={other}' for one, other in others)} may be meant" if others else ""
        )
        raise ConfigError(
            f"--join {sheet.name}: the column of the keys is unknown; {both}{ways}",
            code="C20",
            hint="kit init --on COLUMN, or --on COLUMN=COLUMN if it has another name in the joined table",
        )
    for name, table in ((on, joins.train), (key or on, sheet)):
        if "{" not in name and name not in table.columns:
            raise ConfigError(
                f"--on: {table.name} has no column {name!r}", code="C20", hint=", ".join(table.columns)
            )
    return _join(joins, sheet, on, key or on, "as given")


def _key(sheet: TableFile, train: TableFile, image_column: str) -> str | None:
    """Returns the common column whose values are unique in the other table and include all of the rows' values."""
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


def _keys_of_other_names(sheet: TableFile, train: TableFile) -> list[tuple[str, str]]:
    """Returns columns of the rows and of the table that may be the keys, under different names: it has all
    rows' cells once.

    Numbers are keys only if the names have a word in common, because counts and ages look alike.
    """
    pairs = []
    for key in sheet.columns:
        cells = sheet.file.column(key)
        keys = set(cells)
        if len(keys) < max(len(cells), 2):
            continue
        of_table = {word.rstrip("s") for word in roles.words(key) | roles.words(sheet.name)} - COMMON_WORDS
        for on in train.columns:
            wanted = train.file.column(on)
            step = max(len(wanted) // MAX_KEYS_PROBED, 1)
            if on == key or not all(cell in keys for cell in wanted[::step]) or not keys.issuperset(wanted):
                continue
            are_numbers = all(map(is_number, wanted[::step]))
            if not are_numbers or of_table & {word.rstrip("s") for word in roles.words(on)}:
                pairs.append((on, key))
    return pairs


def _key_of_answers(sheet: TableFile, train: TableFile, sample: TableFile | None) -> str | None:
    """Returns the column by which a table with the sample's answer columns fits the rows, apart from faults."""
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
    """Returns the use of a table's further columns, in words; empty if kit has none."""
    new = [name for name in sheet.columns if name not in train.columns]
    why = _use_of_answers(sheet, train, sample)
    if why:
        return why
    groups = [name for name in new if roles.words(name) & roles.GROUPS and _repeats(sheet, name)]
    if groups and not any(roles.words(name) & roles.GROUPS for name in train.columns):
        return f"it has the groups {groups[0]}"
    both = [name for name in new if test and name in test.columns]
    return f"the test table has {', '.join(both[:3])}{', …' if len(both) > 3 else ''} too" if both else ""


def _use_of_answers(sheet: TableFile, train: TableFile, sample: TableFile | None) -> str:
    """Returns that a table has the sample's columns or labels, and the rows do not, in words; else empty."""
    new = [name for name in sheet.columns if name not in train.columns]
    answers = [name for name in (sample.columns[1:] if sample else ()) if name not in train.columns]
    if answers and set(answers) <= set(new):
        return f"it has the sample's {', '.join(answers[:3])}{', …' if len(answers) > 3 else ''}"
    if answers and sample and len(answers) == 1 and _has_labels_of(sheet, new, sample, train):
        return "it has the sample's labels"
    return ""


def _has_labels_of(sheet: TableFile, new: Sequence[str], sample: TableFile, train: TableFile) -> bool:
    labels = roles.sample_labels(sample)
    if len(labels) < 2 or any(labels <= train.values(name) for name in train.columns):
        return False
    return any(labels <= sheet.values(name) for name in new)


def _repeats(sheet: TableFile, name: str) -> bool:
    return 1 < len(sheet.values(name)) < len(sheet.file)


def _join(joins: Joins, sheet: TableFile, on: str, key: str, why: str) -> Joins:
    test = joins.test
    for_test = (
        test is not None
        and on in test.columns
        and set(sheet.file.column(key)).issuperset(test.file.column(on))
    )
    join = {"table": sheet.name, "on": on}
    join |= {"key": key} if key != on else {}
    join |= {"rows": "all"} if for_test else {}
    by = repr(on) if key == on else f"{on!r}, there {key!r}"
    text = f"joined: {sheet.name} by {by}" + ("" if why == "as given" else f", because {why}")
    return Joins(
        joins.train.with_file(_wide(joins.train.file, sheet, on, key)),
        test.with_file(_wide(test.file, sheet, on, key)) if test is not None and for_test else test,
        (*joins.join, join),
        (*joins.used, sheet.name),
        (*joins.findings, text),
    )


def _wide(file: CsvFile, sheet: TableFile, on: str, key: str) -> CsvFile:
    """Returns the table with the new columns of another one; missing keys give blank cells."""
    if on not in file.columns:
        return file
    new = [index for index, name in enumerate(sheet.columns) if name not in file.columns]
    at = dict(zip(sheet.file.column(key), sheet.file.rows, strict=True))
    blank = ("",) * len(sheet.columns)
    rows = tuple(
        (*row, *(at.get(cell, blank)[index] for index in new))
        for row, cell in zip(file.rows, file.column(on), strict=True)
    )
    return replace(file, columns=(*file.columns, *(sheet.columns[index] for index in new)), rows=rows)
