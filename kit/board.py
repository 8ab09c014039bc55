"""Board: submissions/board.csv, every submission with its scores, best cross-validated score first."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from kit import files
from kit.errors import Case, ConfigError, DataError
from kit.submission import locked
from kit.tables.csv_file import read_csv

BOARD = "board.csv"


@dataclass(frozen=True)
class Entry:
    """One submission; `better` says whether a higher or a lower score wins, `rows` what `cv` was scored on."""

    number: int
    name: str
    file: str
    cv: float | None
    metric: str
    better: str  # higher or lower
    leaderboard: float | None
    members: str  # separated by spaces
    ensembler: str
    rows: int
    created: str  # ISO 8601, UTC
    notes: str = ""  # the team's own

    def key(self) -> tuple[str, bool, float, int]:
        """Sorts the best first within a metric; those without a score last, older ones before younger."""
        cv = self.cv if self.cv is not None else 0.0
        return self.metric, self.cv is None, -cv if self.better == "higher" else cv, self.number


COLUMNS = tuple(field.name for field in fields(Entry))


@dataclass(frozen=True)
class Board:
    """The board of a folder of submissions, as it was when read."""

    submissions: Path
    entries: tuple[Entry, ...] = ()

    @classmethod
    def read(cls, submissions: Path) -> Board:
        """The board as it is, empty where there is none. Raises DataError (D37) for a file that is no board."""
        path = submissions / BOARD
        if not path.exists() or path.read_bytes().strip() == ",".join(COLUMNS).encode():
            return cls(submissions)
        table = read_csv(path)
        unknown = [name for name in table.columns if name not in COLUMNS]
        lacking = [name for name in COLUMNS if name not in table.columns]
        if unknown or lacking:
            raise DataError(
                f"{path} is no board of kit",
                code="D37",
                cases=[Case("is no column of it", name) for name in unknown]
                + [Case("is missing", name) for name in lacking],
                hint="the column `notes` is yours; the others are kit's",
            )
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        return cls(
            submissions, tuple(_entry(path, line, row) for line, row in zip(table.lines, rows, strict=True))
        )

    @property
    def last(self) -> int:
        """The highest number on the board, 0 where it is empty."""
        return max((entry.number for entry in self.entries), default=0)

    def enter(self, entry: Entry) -> Board:
        """The board with one more entry, on the disk too; what others entered meanwhile is kept."""
        return self._changed(lambda entries: (*entries, entry))

    def score(self, number: int, value: float) -> Board:
        """The board with what the leaderboard said about a submission, on the disk too.

        Raises ConfigError (C22) for a number that the board does not know or a value that is no number.
        """
        if not math.isfinite(value):
            raise ConfigError(f"a score is a number, not {value}", code="C22")

        def scored(entries: Sequence[Entry]) -> tuple[Entry, ...]:
            replace(self, entries=tuple(entries)).entry(number)
            return tuple(
                replace(entry, leaderboard=value) if entry.number == number else entry for entry in entries
            )

        return self._changed(scored)

    def entry(self, number: int) -> Entry:
        """A submission by its number. Raises ConfigError (C22) for one that the board does not know."""
        known = {entry.number: entry for entry in self.entries}
        if number not in known:
            raise ConfigError(
                f"no submission {number} on the board",
                code="C22",
                hint=f"one of {', '.join(map(str, sorted(known)))}" if known else "kit blend makes one",
            )
        return known[number]

    def ranked(self) -> tuple[Entry, ...]:
        """The entries, best first within each metric."""
        return tuple(sorted(self.entries, key=Entry.key))

    def rank(self, number: int) -> int:
        """A submission's place among those of its metric, from 1."""
        ranked = self.ranked()
        metric = next(entry.metric for entry in ranked if entry.number == number)
        return [entry.number for entry in ranked if entry.metric == metric].index(number) + 1

    def _changed(self, change: Callable[[Sequence[Entry]], tuple[Entry, ...]]) -> Board:
        with locked(self.submissions):
            board = replace(self, entries=change(Board.read(self.submissions).entries))
            files.write_text(self.submissions / BOARD, _text(board.ranked()))
        return board


def _text(entries: Sequence[Entry]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(entry) for entry in entries)
    return text.getvalue()


def _entry(path: Path, line: int, row: Mapping[str, str]) -> Entry:
    try:
        return Entry(
            **{
                **row,
                "number": int(row["number"]),
                "rows": int(row["rows"]),
                "cv": float(row["cv"]) if row["cv"] else None,
                "leaderboard": float(row["leaderboard"]) if row["leaderboard"] else None,
            }  # type: ignore[arg-type]
        )
    except ValueError as error:
        raise DataError(f"{path} line {line}: {error}", code="D37") from None
