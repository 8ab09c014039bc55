"""Reads a CSV strictly: every cell is text, byte for byte, and what a lenient reader would lose is an error."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kit.errors import Case, ConfigError, DataError, nearest

SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True, eq=False)
class CsvFile:
    """A table's cells as text; `lines` says on which line of the file each row ends, the header on the first."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> list[str]:
        """The cells of one column. Raises ConfigError where there is no such column."""
        if name not in self.columns:
            raise ConfigError(
                f"{self.path} has no column {name!r}{nearest(name, self.columns)}",
                code="C07",
                hint=f"its columns: {', '.join(self.columns)}",
            )
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def frame(self) -> pd.DataFrame:
        """The cells as a frame of text."""
        return pd.DataFrame(list(self.rows), columns=list(self.columns), dtype=str)


def read_csv(path: Path, sep: str = ",", encoding: str = "utf-8") -> CsvFile:
    """Reads a CSV with a header; a byte-order mark, any line ends and blank lines are accepted.

    Raises DataError: D21 no such file, D25 encoding, D26 separator, D27 number of fields, D28 names, D29 no rows.
    """
    text = _decoded(path, _content(path), encoding)
    records = _records(path, text, sep)
    if not records:
        raise DataError(f"{path} is empty", code="D29", hint="is it the right file, and all of it?")
    columns = tuple(records[0][1])
    _check_columns(path, columns, sep)
    body = [(line, fields or [""]) for line, fields in records[1:] if fields or len(columns) == 1]
    _check_widths(path, body, len(columns))
    if not body:
        raise DataError(f"{path} has a header and no rows", code="D29", hint="is it all of the file?")
    return CsvFile(path, columns, tuple(tuple(fields) for _, fields in body), tuple(line for line, _ in body))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        beside = sorted(file.name for file in path.parent.glob("*.csv"))
        hint = f"there are {', '.join(beside[:5])}" if beside else "kit init finds the tables"
        raise DataError(f"no table {path}{nearest(path.name, beside)}", code="D21", hint=hint) from None
    except IsADirectoryError:
        raise DataError(f"{path} is a directory, not a CSV", code="D08") from None
    except PermissionError:
        raise DataError(f"{path}: permission denied", code="D09") from None


def _decoded(path: Path, content: bytes, encoding: str) -> str:
    utf8 = encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")
    try:
        if utf8 and (content[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in content[:1000]):
            raise UnicodeError
        return content.decode(encoding).removeprefix("\ufeff")
    except UnicodeError:
        likely = _likely_encoding(content)
        name = "UTF-8" if utf8 else encoding
        raise DataError(
            f"{path} is not {name} (looks like {likely})", code="D25", hint=f"data.encoding={likely}"
        ) from None
    except (LookupError, ValueError):
        raise ConfigError(f"data.encoding: no encoding named {encoding!r}", code="C07") from None


def _likely_encoding(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if b"\0" in content[:1000]:
        return "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    for encoding in ("utf-8", "cp1252"):
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _records(path: Path, text: str, sep: str) -> list[tuple[int, list[str]]]:
    """Line and fields of every record; blank lines at the end are left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sep, strict=True)
    records = []
    try:
        for fields in reader:
            records.append((reader.line_num, fields))
    except csv.Error as error:
        raise DataError(
            f"{path} row {reader.line_num}: {error}", code="D27", hint="is a quote left open?"
        ) from None
    while records and not records[-1][1]:
        records.pop()
    while records and not records[0][1]:
        records.pop(0)
    return records


def _check_columns(path: Path, columns: Sequence[str], sep: str) -> None:
    other = [mark for mark in SEPARATORS if mark != sep and mark in columns[0]]
    if len(columns) == 1 and other:
        raise DataError(
            f"{path}: found 1 column {columns[0]!r}: set data.sep", code="D26", hint=f"data.sep={other[0]!r}"
        )
    cases = [f"{name!r} is there {n} times" for name, n in Counter(columns).items() if n > 1]
    cases += [f"{name!r} has blanks around it" for name in columns if name != name.strip()]
    if cases:
        raise DataError(f"{path}: column names are double or padded", code="D28",
                        cases=[Case(case, str(path)) for case in cases])  # fmt: skip


def _check_widths(path: Path, body: Sequence[tuple[int, Sequence[str]]], width: int) -> None:
    cases = [
        Case(f"row {line} has {len(fields)} field{'s' * (len(fields) != 1)}, header has {width}", str(path))
        for line, fields in body
        if len(fields) != width
    ]
    if cases:
        raise DataError(
            f"{path}: {len(cases)} row{'s' * (len(cases) > 1)} of another length than the header",
            code="D27",
            cases=cases,
            hint="quote cells that hold the separator",
        )
