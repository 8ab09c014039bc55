"""Faults: the differences between any submission and the sample, each with its line and id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.data.csv_file import CsvFile, read_submission
from kit.data.multi_line_cells import multi_line_cells
from kit.data.spelling import describe_difference, is_same_text
from kit.data.table import read_labelled_rows, sample_frame
from kit.errors import Case, DataError, InvalidError, did_you_mean
from kit.evaluation.competition import decision_of
from kit.experiment.sample_fit import alike
from kit.experiment.sample_format import choose_format
from kit.kinds import Format

NO_FILE = ("D08", "D09", "D21")  # there is nothing to check


@dataclass(frozen=True)
class Issue:
    """One fault; a missing id has no line."""

    code: str
    detail: str
    line: int | None = None
    id: str = ""

    def case(self, file: Path) -> Case:
        """Returns the fault as a case of an error."""
        where = [f"line {self.line}"] if self.line else []
        where += [f"id {self.id!r}"] if self.id else []
        return Case(f"{', '.join(where)}: {self.detail}", str(file), self.id, "", self.code)


@dataclass(frozen=True, repr=False)
class ValidationReport(Displayed):
    """A submission that was checked. It is valid if it has no faults; notes do not matter."""

    file: Path
    format: str
    rows: int
    faults: tuple[Issue, ...]
    notes: tuple[str, ...] = ()

    def _lines(self) -> list[str]:
        state = f"{len(self.faults)} faults" if self.faults else "matches the sample"
        faults = [f"{fault.code} line {fault.line or '-'}: {fault.detail}" for fault in self.faults]
        return [f"{self.file}: {state}, {self.rows} rows, format {self.format}", *faults, *self.notes]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per fault: code, line, id and detail."""
        return frame((asdict(fault) for fault in self.faults), ("code", "line", "id", "detail"))

    def error(self) -> InvalidError:
        """Returns all faults as an error: D41 if they are only ids, else D44."""
        count = len(self.faults)
        return InvalidError(
            f"{self.file} does not match the sample: {count} problem{'s' * (count > 1)}",
            code="D41" if all(fault.code == "D41" for fault in self.faults) else "D44",
            cases=[fault.case(self.file) for fault in self.faults],
            hint="--json lists all" if count > 5 else "",
        )


def check_submission(workspace: Workspace, file: Path) -> ValidationReport:
    """Checks a submission, which kit need not have written.

    Raises InvalidError if the file is not a table, with the code and the lines of the reason; DataError if it
    does not exist; ConfigError if the sample's format is ambiguous.
    """
    data = workspace.competition.data
    table = read_labelled_rows(workspace.root, data)
    sample = sample_frame(workspace.root, data)
    shape = choose_format(workspace, sample, table.classes, labels=table.label_kind)
    shape = shape.with_known(decision=decision_of(workspace, table))
    try:
        read = read_submission(file, data.sep, data.encoding)
    except DataError as error:
        if error.code in NO_FILE:
            raise
        raise InvalidError(error.summary, code=error.code, cases=error.cases, hint=error.hint) from None
    issues = validate(read, sample, shape, table.classes)
    return ValidationReport(
        file, shape.plugin_name(), len(read), tuple(issues), tuple(_notes(read, sample, shape, issues))
    )


def validate(read: CsvFile, sample: pd.DataFrame, shape: Format, classes: Sequence[str]) -> list[Issue]:
    """Returns every fault, in the order of the lines; if the columns differ, only those."""
    issues = list(_columns(read, sample))
    if issues:
        return issues
    ids = [row[0] for row in read.rows]
    wanted = _list_wanted_ids(ids, sample, shape)
    issues += [*_ids(read, ids, wanted), *_blanks(read, ids, {*classes, *shape.empty_cells()})]
    blank = {fault.line for fault in issues if fault.code == "D44"}
    order = _sample_order(ids, wanted)
    issues += [fault for fault in _cells(read, ids, order, sample, shape, classes) if fault.line not in blank]
    broken = {read.lines[row] for row in read.begun}  # such a row is several rows, or a part of one
    issues = [fault for fault in issues if fault.line not in broken] + list(_line_breaks(read, ids))
    return sorted(issues, key=lambda fault: (fault.line is None, fault.line or 0))


def _list_wanted_ids(ids: Sequence[str], sample: pd.DataFrame, shape: Format) -> list[str]:
    """Returns the id of each row that a submission should have.

    An id that may have any number of rows occurs as often as it has them.
    """
    wanted = list(map(str, sample.iloc[:, 0]))
    if not shape.any_count:
        return wanted
    times = Counter(ids)
    return [name for name in dict.fromkeys(wanted) for _ in range(max(times[name], 1))]


def _sample_order(ids: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Returns the rows in the order of their ids in the sample; rows of one id stay in the order of the file.

    If the ids are not the sample's, the rows keep their order.
    """
    if Counter(ids) != Counter(wanted):
        return list(range(len(ids)))
    places = {name: index for index, name in reversed(list(enumerate(wanted)))}
    return sorted(range(len(ids)), key=lambda row: places[ids[row]])


def _line_breaks(read: CsvFile, ids: Sequence[str]) -> Iterator[Issue]:
    for cell in multi_line_cells(read):
        what = f"column {read.columns[cell.place]!r}: the quote that opens here closes only on line {cell.closes}"
        yield Issue("D73", what, cell.opens, ids[cell.row] if cell.place else "")


def _notes(read: CsvFile, sample: pd.DataFrame, shape: Format, issues: Sequence[Issue]) -> Iterator[str]:
    """Yields unusual facts that are not faults."""
    if issues:
        return
    wanted = _list_wanted_ids([row[0] for row in read.rows], sample, shape)
    for line, row, name in zip(read.lines, read.rows, wanted, strict=True):
        if row[0] != name:
            yield (
                f"the order of the rows differs from the sample from line {line} on ({row[0]!r}, but "
                f"{name!r} in the sample); Kaggle joins rows by id and accepts any order"
            )
            return


def _columns(read: CsvFile, sample: pd.DataFrame) -> Iterator[Issue]:
    wanted, line = list(sample.columns), 1
    for name in read.columns:
        if name not in wanted:
            same = next((column for column in wanted if is_same_text(name, column)), "")
            meant = (
                f"; the sample has {same!r}, {describe_difference(name, same)}"
                if same
                else did_you_mean(name, wanted)
            )
            yield Issue("D44", f"column {name!r} is not in the sample{meant}", line)
    missing = [name for name in wanted if name not in read.columns]
    if missing:
        yield Issue("D44", f"column{'s' * (len(missing) > 1)} {', '.join(missing)} missing", line)
    elif sorted(read.columns) == sorted(wanted) and list(read.columns) != wanted:
        yield Issue("D44", f"the columns of the sample are in the order {', '.join(wanted)}", line)


def _ids(read: CsvFile, ids: Sequence[str], wanted: Sequence[str]) -> list[Issue]:
    """Returns ids that are missing, not requested or too frequent."""
    times, needed = Counter(ids), Counter(wanted)
    by_key = {alike(name): name for name in wanted}
    first = dict(zip(reversed(ids), reversed(read.lines), strict=True))
    seen: Counter[str] = Counter()
    issues = []
    for line, name in zip(read.lines, ids, strict=True):
        seen[name] += 1
        if name not in needed:
            meant = by_key.get(alike(name))
            hint = _suggest_meant(name, meant) if meant is not None and meant not in times else ""
            issues.append(Issue("D41", f"is not in the sample{hint}", line, name))
        elif seen[name] > needed[name]:
            issues.append(
                Issue("D41", f"occurs {times[name]} times, first on line {first[name]}", line, name)
            )
    issues += [
        Issue("D41", _list_missing(times[name], count), None, name)
        for name, count in needed.items()
        if times[name] < count
    ]
    return issues


def _suggest_meant(name: str, meant: str) -> str:
    if is_same_text(name, meant):
        return f"; the sample has {meant!r}, {describe_difference(name, meant)}"
    return f"; did you mean {meant!r}?"


def _list_missing(there: int, needed: int) -> str:
    return f"has {there} of {needed} rows" if there else "is missing"


def _blanks(read: CsvFile, ids: Sequence[str], meant: set[str]) -> Iterator[Issue]:
    for line, name, row in zip(read.lines, ids, read.rows, strict=True):
        for column, cell in zip(read.columns[1:], row[1:], strict=True):
            if cell not in meant and cell.strip().lower() in ("", "nan"):
                yield Issue("D44", f"column {column!r} is {'NaN' if cell.strip() else 'empty'}", line, name)


def _cells(
    read: CsvFile,
    ids: Sequence[str],
    order: Sequence[int],
    sample: pd.DataFrame,
    shape: Format,
    classes: Sequence[str],
) -> list[Issue]:
    """Returns cells that do not have the format.

    `order` brings the rows into the sample's, because a ranking is several rows.
    """
    table = read.frame().iloc[list(order)].reset_index(drop=True)
    wrong_rows = shape.check_rows(table, sample, classes)
    if wrong_rows is None:
        if shape.matches(table, classes):
            return []
        wrong_rows = [
            (row, f"does not match format {shape.plugin_name()!r}")
            for row in _not_matching(shape, table, classes)
        ]
        if not wrong_rows:
            return [Issue("D44", f"the rows together do not match format {shape.plugin_name()!r}")]
    return [Issue("D44", why, read.lines[order[row]], ids[order[row]]) for row, why in wrong_rows]


def _not_matching(shape: Format, table: pd.DataFrame, classes: Sequence[str], start: int = 0) -> list[int]:
    """Returns rows, by position, that do not have a format even alone; found by bisection."""
    if shape.matches(table, classes):
        return []
    if len(table) == 1:
        return [start]
    half = len(table) // 2
    first = _not_matching(shape, table.iloc[:half], classes, start)
    return first + _not_matching(shape, table.iloc[half:], classes, start + half)
