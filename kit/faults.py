"""Faults: what of a submission, whoever wrote it, does not fit the sample, each with its line and id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kit.errors import Case, DataError, InvalidError, nearest
from kit.kinds import Format
from kit.submission import choose_format
from kit.table import labelled_rows, sample_frame
from kit.tables.csv_file import CsvFile, read_csv
from kit.workspace import Workspace

NO_FILE = ("D08", "D09", "D21")  # there is nothing to check


@dataclass(frozen=True)
class Fault:
    """One thing that does not fit; a missing id has no line."""

    code: str
    detail: str
    line: int | None = None
    id: str = ""

    def case(self, file: Path) -> Case:
        """The fault as errors list it."""
        where = [f"line {self.line}"] if self.line else []
        where += [f"id {self.id!r}"] if self.id else []
        return Case(f"{', '.join(where)}: {self.detail}", str(file), self.id, "", self.code)


@dataclass(frozen=True)
class Checked:
    """A submission that was looked through; it is valid where there are no faults."""

    file: Path
    format: str
    rows: int
    faults: tuple[Fault, ...]

    def error(self) -> InvalidError:
        """All faults as an error: D41 where it is ids alone, else D44."""
        count = len(self.faults)
        return InvalidError(
            f"{self.file} does not fit the sample: {count} fault{'s' * (count > 1)}",
            code="D41" if all(fault.code == "D41" for fault in self.faults) else "D44",
            cases=[fault.case(self.file) for fault in self.faults],
            hint="--json lists them all" if count > 5 else "",
        )


def check(workspace: Workspace, file: Path) -> Checked:
    """Looks through a submission that kit need not have written.

    Raises InvalidError for a file that is no table, with the code and the lines of why; DataError where there is none;
    ConfigError where the sample's format is not clear.
    """
    data = workspace.competition.data
    table = labelled_rows(workspace.root, data)
    sample = sample_frame(workspace.root, data)
    shape = choose_format(workspace, sample, table.classes, labels=table.label_kind)
    try:
        read = read_csv(file, data.sep, data.encoding)
    except DataError as error:
        if error.code in NO_FILE:
            raise
        raise InvalidError(error.summary, code=error.code, cases=error.cases, hint=error.hint) from None
    return Checked(file, shape.plugin_name(), len(read), tuple(faults(read, sample, shape, table.classes)))


def faults(read: CsvFile, sample: pd.DataFrame, shape: Format, classes: Sequence[str]) -> list[Fault]:
    """Every fault, in the order of the lines; where the columns are others, those alone."""
    found = list(_columns(read, sample))
    if found:
        return found
    ids, wanted = [row[0] for row in read.rows], sample.iloc[:, 0].tolist()
    found += [*_ids(read, ids, wanted), *_blanks(read, ids, {*classes, *shape.blanks()})]
    blank = {fault.line for fault in found if fault.code == "D44"}
    found += [fault for fault in _cells(read, ids, sample, shape, classes) if fault.line not in blank]
    return sorted(found, key=lambda fault: (fault.line is None, fault.line or 0))


def _columns(read: CsvFile, sample: pd.DataFrame) -> Iterator[Fault]:
    wanted, line = list(sample.columns), 1
    for name in read.columns:
        if name not in wanted:
            yield Fault("D44", f"column {name!r} is not in the sample{nearest(name, wanted)}", line)
    missing = [name for name in wanted if name not in read.columns]
    if missing:
        yield Fault("D44", f"column{'s' * (len(missing) > 1)} {', '.join(missing)} missing", line)
    elif sorted(read.columns) == sorted(wanted) and list(read.columns) != wanted:
        yield Fault("D44", f"the columns' order is {', '.join(wanted)} in the sample", line)


def _ids(read: CsvFile, ids: Sequence[str], wanted: Sequence[str]) -> list[Fault]:
    """Ids that are missing, not asked for or there too often; the first that is out of order where all are there."""
    times, needed = Counter(ids), Counter(wanted)
    alike = {_bare(name): name for name in wanted}
    first = dict(zip(reversed(ids), reversed(read.lines), strict=True))
    seen: Counter[str] = Counter()
    found = []
    for line, name in zip(read.lines, ids, strict=True):
        seen[name] += 1
        if name not in needed:
            meant = alike.get(_bare(name))
            hint = f"; is {meant!r} meant?" if meant is not None and meant not in times else ""
            found.append(Fault("D41", f"is not in the sample{hint}", line, name))
        elif seen[name] > needed[name]:
            found.append(
                Fault("D41", f"is there {times[name]} times, first on line {first[name]}", line, name)
            )
    found += [
        Fault("D41", _missing(times[name], count), None, name)
        for name, count in needed.items()
        if times[name] < count
    ]
    if not found:
        for line, name, right in zip(read.lines, ids, wanted, strict=True):
            if name != right:
                return [Fault("D41", f"is where the sample has {right!r}: another order", line, name)]
    return found


def _missing(there: int, needed: int) -> str:
    return f"has {there} of {needed} rows" if there else "is missing"


def _bare(name: str) -> str:
    """What a spreadsheet may leave of an id: no blanks, leading zeros or ending."""
    return name.strip().casefold().removesuffix(".0").rsplit(".", 1)[0].lstrip("0")


def _blanks(read: CsvFile, ids: Sequence[str], meant: set[str]) -> Iterator[Fault]:
    for line, name, row in zip(read.lines, ids, read.rows, strict=True):
        for column, cell in zip(read.columns[1:], row[1:], strict=True):
            if cell not in meant and cell.strip().lower() in ("", "nan"):
                yield Fault("D44", f"column {column!r} is {'NaN' if cell.strip() else 'empty'}", line, name)


def _cells(
    read: CsvFile, ids: Sequence[str], sample: pd.DataFrame, shape: Format, classes: Sequence[str]
) -> list[Fault]:
    table = read.frame()
    told = shape.faults(table, sample, classes)
    if told is None:
        if shape.matches(table, classes):
            return []
        told = [
            (row, f"is not of format {shape.plugin_name()!r}") for row in _not_matching(shape, table, classes)
        ]
        if not told:
            return [Fault("D44", f"the rows together are not of format {shape.plugin_name()!r}")]
    return [Fault("D44", why, read.lines[row], ids[row]) for row, why in told]


def _not_matching(shape: Format, table: pd.DataFrame, classes: Sequence[str], start: int = 0) -> list[int]:
    """Rows, by position, that are not of a format even alone; found by halving."""
    if shape.matches(table, classes):
        return []
    if len(table) == 1:
        return [start]
    half = len(table) // 2
    first = _not_matching(shape, table.iloc[:half], classes, start)
    return first + _not_matching(shape, table.iloc[half:], classes, start + half)
