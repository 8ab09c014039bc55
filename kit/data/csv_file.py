"""Reads tables strictly: every cell is text, and content that a lenient reader would lose is an error.

That includes misplaced quotes, a first line that is a row instead of a header, and ids that occur twice. Tables of JSON
files have the same form.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from kit.data.bson_tables import BSON, read_bson_rows
from kit.data.encodings import BOM, LINE_END, decode, is_utf8, line_breaks, refuse_other_kinds
from kit.data.json_tables import CATEGORIES, read_json_rows
from kit.data.multi_line_cells import check_multi_line_cells
from kit.data.spelling import describe_difference, is_same_text, nfc
from kit.errors import Case, ConfigError, DataError, KitWarning, did_you_mean

if TYPE_CHECKING:
    from kit.config.models import Data

SEPARATORS = (",", ";", "\t", "|")
# the start of a table, without control characters; the words start other files, though they may be text
_PLAIN_START = re.compile(rb'(?!version https:|MATLAB|GIF8|PAR1|ARROW1|ORC|BZh)["\w][\t\r\n -~]*')
# the first line that tells Excel the separator
_SEP_LINE = re.compile(r'"?sep=(.)"?(?:\r\n|\r|\n|\Z)', re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class CsvFile:
    """A table's cells as text. `lines` has the line of the file on which each row ends, the header first.

    `begun` has the line on which a row starts, for rows with a line break in a cell.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: Sequence[int]
    begun: Mapping[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> list[str]:
        """Returns the cells of one column. Raises ConfigError if the column does not exist."""
        if name not in self.columns:
            raise ConfigError(
                f"{self.path} has no column {name!r}{did_you_mean(name, self.columns)}",
                code="C07",
                hint=f"its columns: {', '.join(self.columns)}",
            )
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def frame(self) -> pd.DataFrame:
        """Returns the cells as a frame of text."""
        return pd.DataFrame(list(self.rows), columns=list(self.columns), dtype=str)


def is_json(name: str) -> bool:
    """Whether a table's name is that of a JSON file instead of a CSV, or of its categories."""
    return name.removesuffix(CATEGORIES).lower().endswith(".json")


def read_csv(
    path: Path, sep: str = ",", encoding: str = "utf-8", *, fixed: str = "", repeated_header: bool = False
) -> CsvFile:
    """Reads a CSV with a header. A byte-order mark, Excel's `sep=` line, any line ends and blank lines are accepted.

    `fixed` is the hint of D25 and D26 for a file whose encoding and separator the config does not set.
    `repeated_header` allows rows that repeat the header.

    Raises DataError D21 if the file does not exist, D70 for another kind of file, D71 for NUL bytes. Raises
    DataError for faults of the encoding (D25), the separator (D26), the number of fields or the quotes (D27),
    the names (D28), a table without rows (D29), and a repeated header (D72).
    """
    content = _content(path)
    if encoding == "utf-8" and _is_plain(content):
        text = content.decode("ascii")
    else:
        refuse_other_kinds(path, content)
        text = decode(path, content, encoding, fixed)
    del content
    text, before = _without_sep_line(path, text, sep, fixed)
    _check_separator(path, text, sep, fixed)
    rows, lines, begun = _records(path, text, sep, before)
    if not rows:
        raise DataError(f"{path} is empty", code="D29", hint="check that it is the right file, and complete")
    columns = rows[0]
    _check_columns(path, columns)
    if BOM in text:
        _check_marks(path, rows, lines)
    if not repeated_header:
        _check_header(path, rows, lines)
    _check_widths(path, rows, lines)
    if len(rows) == 1:
        raise DataError(
            f"{path} has a header and no rows", code="D29", hint="check that the file is complete"
        )
    return CsvFile(path, columns, tuple(rows[1:]), lines[1:], {row - 1: line for row, line in begun.items()})


def read_submission(path: Path, sep: str = ",", encoding: str = "utf-8") -> CsvFile:
    """Reads a submission: UTF-8, as kit writes it, or else in the encoding of the tables. Raises as `read_csv` does."""
    own = "utf-8" if is_utf8(_content(path)) else encoding
    hint = f"save it as CSV UTF-8, with {sep!r} between the cells as in the sample"
    return read_csv(path, sep, own, fixed=hint)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        beside = sorted(file.name for file in path.parent.glob("*.csv"))
        same = next((name for name in beside if is_same_text(name, path.name)), "")
        if same:
            raise DataError(
                f"no table {path}, but {same!r} exists, {describe_difference(same, path.name)}",
                code="D21",
                hint=f"rename it to {path.name}",
            ) from None
        hint = f"tables in the folder: {', '.join(beside[:5])}" if beside else "kit init finds the tables"
        raise DataError(f"no table {path}{did_you_mean(path.name, beside)}", code="D21", hint=hint) from None
    except IsADirectoryError:
        raise DataError(f"{path} is a directory, not a CSV", code="D08") from None
    except PermissionError:
        raise DataError(f"{path}: permission denied", code="D09") from None


def _is_plain(content: bytes) -> bool:
    """Whether a file is unambiguous: ASCII text that starts as a table does."""
    start = content[:4096]
    return (
        content.isascii()
        and b"\0" not in content
        and b"annex/objects/" not in start
        and _PLAIN_START.fullmatch(start) is not None
    )


def _without_sep_line(path: Path, text: str, sep: str, fixed: str) -> tuple[str, int]:
    """Returns the text after Excel's line `sep=;`, if it has one, and the number of lines before it."""
    match = _SEP_LINE.match(text)
    if match is None:
        return text, 0
    if match[1] != sep:
        raise DataError(
            f"the first line of {path} declares the separator {match[1]!r}, not {sep!r}",
            code="D26",
            hint=fixed or f"data.sep={match[1]!r}",
        )
    return text[match.end() :], 1


def _check_separator(path: Path, text: str, sep: str, fixed: str) -> None:
    """Raises DataError (D26) if the header is at most one cell, but several cells by another separator."""
    header = text.lstrip("\r\n")
    header = header[: line.start()] if (line := re.search(r"[\r\n]", header)) else header
    if _width(header, sep) > 1:
        return
    widths = {mark: _width(header, mark) for mark in SEPARATORS if mark != sep}
    mark = max(widths, key=lambda separator: widths[separator])
    if widths[mark] < 2:
        return
    first_line = header if len(header) <= 200 else header[:200] + "…"
    rest = f"its cells are separated by {mark!r}, not {sep!r}" if fixed else "set data.sep"
    raise DataError(
        f"{path}: found 1 column {first_line!r}: {rest}", code="D26", hint=fixed or f"data.sep={mark!r}"
    )


def _width(header: str, sep: str) -> int:
    """Returns the number of cells in a header; 0 if its quotes do not fit the separator."""
    try:
        return len(next(csv.reader([header], delimiter=sep, strict=True), ()))
    except csv.Error:
        return 0


def _records(
    path: Path, text: str, sep: str, before: int
) -> tuple[list[tuple[str, ...]], Sequence[int], dict[int, int]]:
    """Returns the records that are not blank, the header first, the line on which each ends, and `begun` by record.

    A blank line after the header of a single column is a blank cell, except at the end.
    """
    limit = csv.field_size_limit(sys.maxsize)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=sep, strict=True)
        rows = list(map(tuple, reader))
        plain = reader.line_num == len(rows)
        if plain and all(rows):
            return rows, range(1 + before, 1 + before + len(rows)), {}
        ends = list(range(1, len(rows) + 1)) if plain else _ends(text, sep)
    except csv.Error as error:
        raise find_misplaced_quote(path, text, sep, before) or DataError(
            f"{path}: {error}", code="D27"
        ) from None
    finally:
        csv.field_size_limit(limit)
    starts = [1, *(end + 1 for end in ends[:-1])]
    first = next((row for row, cells in enumerate(rows) if cells), len(rows))
    last = next((row for row in range(len(rows) - 1, -1, -1) if rows[row]), -1)
    single = first <= last and len(rows[first]) == 1
    data_rows = [row for row in range(first, last + 1) if rows[row] or single]
    begun = {index: starts[row] + before for index, row in enumerate(data_rows) if ends[row] > starts[row]}
    return [rows[row] or ("",) for row in data_rows], [ends[row] + before for row in data_rows], begun


def find_misplaced_quote(path: Path, text: str, sep: str, before: int) -> DataError | None:
    """Returns the error (D27) for the first quote that is never closed, or is closed before the end of its cell.

    `before` is the number of the file's lines before the text.
    """
    hint = 'remove the quote, or close it; a quote inside a quoted cell is written twice: ""'
    line, at = 1 + before, 0
    plain = re.compile(f"[^{re.escape(sep)}\r\n]*")
    while at < len(text):
        if text[at] == '"':
            end = _find_closing(text, at)
            if end < 0:
                return DataError(
                    f"{path}: a quote opens on line {line} and is never closed", code="D27", hint=hint
                )
            opened, line = line, line + line_breaks(text[at:end])
            at = end + 1
            if text[at : at + 1] not in ("", sep, "\r", "\n"):
                where = f" that opens on line {opened}" if opened < line else ""
                return DataError(
                    f"{path} row {line}: text follows the closing quote of a cell{where}",
                    code="D27",
                    hint=hint,
                )
        else:
            match = plain.match(text, at)
            at = match.end() if match else at
        if match := LINE_END.match(text, at):
            line, at = line + 1, match.end()
        else:
            at += 1
    return None


def _find_closing(text: str, opening: int) -> int:
    """Returns the position at which the quote opened at `opening` closes; -1 if it never does."""
    quote = text.find('"', opening + 1)
    while quote >= 0 and text[quote + 1 : quote + 2] == '"':
        quote = text.find('"', quote + 2)
    return quote


def _ends(text: str, sep: str) -> list[int]:
    """Returns the line on which each record ends."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sep, strict=True)
    return [reader.line_num for _ in reader]


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    broken = [name for name in columns if "\n" in name or "\r" in name]
    cases = [f"{name!r} occurs {n} times" for name, n in Counter(columns).items() if n > 1]
    cases += [
        f"{name!r} has surrounding blanks" for name in columns if name != _trim(name) and name not in broken
    ]
    cases += [f"{name!r} has a line break: is a quote on line 1 not closed?" for name in broken]
    twice = [name for name, n in Counter(columns).items() if n > 1 and is_number(name)]
    if twice:
        raise DataError(
            f"{path} has no header: its first line is a row",
            code="D28",
            cases=[Case(f"{twice[0]!r} occurs {columns.count(twice[0])} times", str(path))],
            hint=f"insert a first line with the names of the {len(columns)} columns, such as id,label",
        )
    if cases:
        raise DataError(
            f"{path}: duplicate or padded column names",
            code="D28",
            cases=[Case(case, str(path)) for case in cases],
        )


def _trim(name: str) -> str:
    """Returns a name without blanks and invisible characters around it."""
    return name.strip().strip("\u200b\u200c\u200d\u2060\ufeff").strip()


def _check_marks(path: Path, rows: Sequence[tuple[str, ...]], lines: Sequence[int]) -> None:
    """Raises DataError (D72) for a byte-order mark before a later row, which would become a part of its id."""
    cases = [
        Case(f"row {line} begins with a byte-order mark", str(path))
        for row, line in zip(rows[1:], lines[1:], strict=True)
        if row[0].startswith(BOM)
    ]
    if cases:
        raise DataError(
            f"{path} was joined from several files: {cases[0].detail}",
            code="D72",
            cases=cases,
            hint="remove the mark, and the header after it",
        )


def _check_header(path: Path, rows: Sequence[tuple[str, ...]], lines: Sequence[int]) -> None:
    """Raises DataError (D72) for rows that repeat the header. With a single column, such a row may be a value."""
    header, several = rows[0], len(rows[0]) > 1
    if header not in (rows[1:] if several else rows[1:2]):
        return
    again = [lines[row] for row in range(1, len(rows) if several else 2) if rows[row] == header]
    lines_shown = ", ".join(map(str, again[:5])) + (" …" if len(again) > 5 else "")
    raise DataError(
        f"{path} repeats its header on line{'s' * (len(again) > 1)} {lines_shown}",
        code="D72",
        cases=[Case(f"row {line} is the header", str(path)) for line in again],
        hint="remove these lines",
    )


def _check_widths(path: Path, rows: Sequence[tuple[str, ...]], lines: Sequence[int]) -> None:
    width = len(rows[0])
    if set(map(len, rows)) == {width}:
        return
    cases = [
        Case(f"row {line} has {len(cells)} field{'s' * (len(cells) != 1)}, header has {width}", str(path))
        for cells, line in zip(rows, lines, strict=True)
        if len(cells) != width
    ]
    raise DataError(
        f"{path}: {len(cases)} row{'s' * (len(cases) > 1)} with more or fewer fields than the header",
        code="D27",
        cases=cases,
        hint="quote cells that hold the separator",
    )


def unknown_column(name: str, columns: Iterable[str], key: str) -> ConfigError:
    """Returns the error C07 for a column that the config key `key` names and the rows lack."""
    return ConfigError(
        f"{key}: no column {name!r}{did_you_mean(name, columns)}",
        code="C07",
        hint=f"the columns are {', '.join(columns)}",
    )


def is_number(text: str) -> bool:
    """Whether a cell is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def read_json_table(path: Path) -> CsvFile:
    """Returns the table of a JSON file, with the number of each row as its line. Raises as `read_json_rows` does."""
    columns, rows = read_json_rows(path)
    return CsvFile(path, columns, rows, range(1, len(rows) + 1))


def read_bson_table(path: Path) -> CsvFile:
    """Returns the table of a BSON file, with the number of each row as its line. Raises as `read_bson_rows` does."""
    columns, rows = read_bson_rows(path)
    return CsvFile(path, columns, rows, range(1, len(rows) + 1))


def read_table(root: Path, data: Data, name: str) -> CsvFile:
    """Returns the cells of a table that `data` names, by its path relative to the workspace.

    Raises DataError as `read_csv` and `read_json_table` do.
    """
    if is_json(name):
        return read_json_table(root / name)
    if name.lower().endswith(BSON):
        return read_bson_table(root / name)
    sep, encoding = format_of(data, name)
    return read_csv(root / name, sep, encoding)


def format_of(data: Data, name: str) -> tuple[str, str]:
    """Returns the separator and the encoding of a table, by `data.tables` or else by those of all tables."""
    own = next((table for key, table in data.tables.items() if _is_same(key, name)), None)
    if own is None:
        return data.sep, data.encoding
    return own.sep or data.sep, own.encoding or data.encoding


def _is_same(one: str, other: str) -> bool:
    return os.path.normpath(one) == os.path.normpath(other)


def read_rows(root: Path, data: Data, name: str, columns: Collection[str] | None) -> CsvFile:
    """Reads a table. The cells of `columns`, by default all, must not contain line breaks.

    Raises as `read_table` does.
    """
    file = read_table(root, data, name)
    if file.begun:
        wanted = None if columns is None else {*columns, file.columns[0]}
        check_multi_line_cells(file, format_of(data, name)[0], wanted)
    return file


def read_class_list(root: Path, data: Data, wanted: Collection[str] = ()) -> CsvFile:
    """Reads the table `data.class_list`, with the classes in its first column. Raises as `read_table` does.

    In a JSON's categories the column that `data.label` names comes first.
    """
    name = str(data.class_list)
    file = read_rows(root, data, name, wanted)
    if not is_json(name) or data.label not in file.columns:
        return file
    at = file.columns.index(data.label)
    rows = tuple((row[at], *row[:at], *row[at + 1 :]) for row in file.rows)
    columns = (file.columns[at], *file.columns[:at], *file.columns[at + 1 :])
    return CsvFile(file.path, columns, rows, file.lines)


def check_ids(ids: Sequence[str], lines: Sequence[int], file: Path, split: str) -> None:
    """Raises DataError for blank (D23) and duplicate (D24) ids; warns of ids that differ only by case (W03)."""
    blank = [
        Case(f"row {line} has no id", str(file), split=split, code="D23")
        for row, line in zip(ids, lines, strict=True)
        if not row.strip()
    ]
    if blank:
        raise DataError(f"{len(blank)} {split} rows have no id", code="D23", cases=blank)
    if len(set(ids)) < len(ids):
        rows: dict[str, list[str]] = defaultdict(list)
        for row, line in zip(ids, lines, strict=True):
            rows[row].append(str(line))
        cases = [
            Case(f"id {row!r} occurs in rows {', '.join(where)}", "", row, split, "D24")
            for row, where in rows.items()
            if len(where) > 1
        ]
        raise DataError(
            f"{file}: {len(cases)} duplicate ids",
            code="D24",
            cases=cases,
            hint="data.id must identify each row; photos in one folder need different names",
        )
    forms = ids if all(map(str.isascii, ids)) else [nfc(row) for row in ids]
    folded = Counter(map(str.casefold, forms))
    if len(folded) < len(ids):
        alike = [row for row, form in zip(ids, forms, strict=True) if folded[form.casefold()] > 1]
        ways = ["case"] if len(folded) < len(set(forms)) else []
        ways += ["Unicode form"] if len(set(forms)) < len(ids) else []
        text = f"W03 {len(alike)} {split} ids differ only by {' or '.join(ways)}: {', '.join(alike[:6])}"
        warnings.warn(KitWarning(text), stacklevel=2)
