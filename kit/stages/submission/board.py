"""Board: submissions/board.csv, every submission with its scores, one line each in the order of their numbers.

A line never moves, and new lines come last, so that git merges the boards of two clones by keeping the lines
of both (`merge=union`). Duplicate lines of such a merge are joined when the board is read.
"""

from __future__ import annotations

import csv
import io
import math
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from kit.config.workspace import CONFIG_FILE, Workspace
from kit.core import files
from kit.data.csv_file import read_csv
from kit.errors import Case, ConfigError, DataError, KitError, KitWarning
from kit.kinds import Metric
from kit.stages.submission.submission import WrittenSubmission, lock_submissions, write

BOARD = "board.csv"
# the hint for a board that a spreadsheet has saved in its own format
SAVED = "save it as CSV UTF-8 with commas between the cells, or restore it from git"
WITHDRAWN_DIR = "undone"  # the folder of undone submissions
GIT_ATTRIBUTES = (".gitattributes", f"{BOARD} merge=union\n")  # beside the board
CONFLICT_MARKERS = ("<<<<<<<", "=======", ">>>>>>>")  # that git leaves if it did not merge


Key = tuple[int, str, str]


@dataclass(frozen=True)
class Entry:
    """One submission. `better` is higher or lower, `rows` the number of rows of `cv`."""

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

    def place(self) -> tuple[str, bool, float, int]:
        """Returns a sort key: the best first within a metric, those without a score last, older ones before
        newer ones.
        """
        cv = self.cv if self.cv is not None else 0.0
        return self.metric, self.cv is None, -cv if self.better == "higher" else cv, self.number

    @property
    def key(self) -> Key:
        """The key of a submission's line: its number, and a field that differs from another clone's of that number."""
        return self.number, self.created, self.file

    @property
    def stem(self) -> str:
        """The file's name without its ending, such as `0007-mean-a`, which is unique within a number."""
        return self.file.rpartition(".")[0]


COLUMNS = tuple(field.name for field in fields(Entry))


@dataclass(frozen=True)
class Board:
    """The board of a folder of submissions, as it was when read."""

    submissions: Path
    entries: tuple[Entry, ...] = ()

    @classmethod
    def read(cls, submissions: files.StrPath) -> Board:
        """Reads the board of a folder of submissions, or of a workspace. Without a file it is empty.

        Raises DataError (D37) for a file that is not a board.
        """
        submissions = Path(submissions)
        if (submissions / CONFIG_FILE).is_file():
            submissions = submissions / "submissions"
        path = submissions / BOARD
        if (
            not path.exists()
            or path.read_bytes().lstrip(b"\xef\xbb\xbf").strip() == ",".join(COLUMNS).encode()
        ):
            return cls(submissions)
        _refuse_marks(path)
        table = read_csv(path, fixed=SAVED, repeated_header=True)
        unknown = [name for name in table.columns if name not in COLUMNS]
        lacking = [name for name in COLUMNS if name not in table.columns]
        if unknown or lacking:
            raise DataError(
                f"{path} is not a board of kit",
                code="D37",
                cases=[Case("is not a column of the board", name) for name in unknown]
                + [Case("is missing", name) for name in lacking],
                hint="only the column `notes` may be edited",
            )
        entries = [
            _entry(path, line, dict(zip(table.columns, row, strict=True)))
            for line, row in zip(table.lines, table.rows, strict=True)
            if row != table.columns  # a header that a merge has duplicated
        ]
        return cls(submissions, _merge_entries(entries))

    @property
    def last(self) -> int:
        """The highest number on the board, 0 if it is empty."""
        return max((entry.number for entry in self.entries), default=0)

    def enter(self, entry: Entry) -> Board:
        """Returns the board with one more entry, also on the disk. Entries that others made meanwhile are included."""
        return self._change(lambda entries: (*entries, entry))

    def score(self, number: int | str, value: float, force: bool = False) -> Board:
        """Returns the board with the leaderboard score of a submission, also on the disk.

        `force` records a score that its metric cannot have. Raises ConfigError (C22) for an unknown number,
        or a value that is not a number or not a score of the metric.
        """
        if not math.isfinite(value):
            raise ConfigError(f"a score must be a number, not {value}", code="C22")

        def set_score(entries: Sequence[Entry]) -> tuple[Entry, ...]:
            meant = replace(self, entries=tuple(entries)).entry(number)
            if not force:
                self._check_score(meant, value)
            return tuple(
                replace(entry, leaderboard=value) if entry.key == meant.key else entry for entry in entries
            )

        return self._change(set_score)

    def _check_score(self, entry: Entry, value: float) -> None:
        """Raises ConfigError (C22) for a score that the submission's metric cannot have, such as a percentage."""
        root, spec = self.submissions.parent, {"name": entry.metric}
        try:
            home = root if (root / CONFIG_FILE).is_file() else None
            own = Workspace.open(root).competition.metric if home else spec
            low, high = Metric.open(own if own["name"] == entry.metric else spec, home).limits
        except KitError:
            return  # a metric that the workspace no longer has
        if low <= value <= high:
            return
        likely = [f"{part:.6g}" for part in (value / 100, -value) if low <= part <= high]
        limits = f"from {low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
        raise ConfigError(
            f"{value:g} is not a possible {entry.metric}, which is "
            f"{limits}{'; is it a percentage?' if value > high else ''}",
            code="C22",
            hint="; ".join(
                [
                    *(f"kit board score {entry.number} {score}" for score in likely[:1]),
                    f"kit board score {entry.number} {value:g} --force records the value unchanged",
                ]
            ),
        )

    def undo(self) -> tuple[Entry, Board]:
        """Returns the last submission, and the board without it, also on the disk.

        Its files go to submissions/undone/.

        Raises ConfigError (C22) if there is none, or if it has a leaderboard score.
        """
        undone: list[Entry] = []

        def shorter(entries: Sequence[Entry]) -> tuple[Entry, ...]:
            if not entries:
                raise ConfigError("no submission on the board", code="C22", hint="kit blend creates one")
            last = max(entries, key=lambda entry: entry.key)
            if last.leaderboard is not None:
                raise ConfigError(
                    f"submission {last.number} has a leaderboard score and stays on the board", code="C22"
                )
            for file in self.submissions.glob(f"{last.stem}.*"):
                (self.submissions / WITHDRAWN_DIR).mkdir(exist_ok=True)
                file.replace(self.submissions / WITHDRAWN_DIR / file.name)
            undone.append(last)
            return tuple(entry for entry in entries if entry.key != last.key)

        board = self._change(shorter)
        return undone[0], board

    def entry(self, number: int | str) -> Entry:
        """Returns a submission by its number (`1` or `0001`) or by its file (`0001-x`, `0001-x.csv`,
        `submissions/0001-x.csv`).

        Two clones may have used one number; files are always unique.

        Raises ConfigError (C22) for an unknown submission, or if several have that number.
        """
        ref = re.sub(r"\.(csv|json)$", "", Path(str(number)).name)
        if re.fullmatch(r"[0-9]+", ref):
            ref = str(int(ref))
        matching = [entry for entry in self.entries if ref in (str(entry.number), entry.stem)]
        known = ", ".join(map(str, sorted({entry.number for entry in self.entries})))
        if len(matching) == 1:
            return matching[0]
        if matching:
            hint = f"give the name: {', '.join(entry.stem for entry in matching)}"
            raise ConfigError(f"{len(matching)} submissions have the number {ref}", code="C22", hint=hint)
        hint = f"one of {known}" if known else "kit blend creates one"
        raise ConfigError(f"no submission {ref} on the board", code="C22", hint=hint)

    def sort_entries(self) -> tuple[Entry, ...]:
        """Returns the entries, best first within each metric. Those scored on other rows than most come after them."""
        return tuple(sorted(self.entries, key=self._place))

    def rank(self, number: int) -> int:
        """Returns a submission's rank, from 1, among those of its metric that are scored on the same rows."""
        return self.rank_of(next(entry for entry in self.entries if entry.number == number))

    def rank_of(self, entry: Entry) -> int:
        """Returns an entry's rank, as `rank` does."""
        return [candidate.key for candidate in self.comparable_entries(entry)].index(entry.key) + 1

    def comparable_entries(self, entry: Entry) -> tuple[Entry, ...]:
        """Returns the submissions of an entry's metric with a score on the same rows, including the entry, best first.

        Those without a score come last.
        """
        alike = [candidate for candidate in self.sort_entries() if candidate.metric == entry.metric]
        if not self.is_apart(entry):
            return tuple(candidate for candidate in alike if not self.is_apart(candidate))
        return tuple(
            candidate for candidate in alike if self.row_sets[candidate.key] == self.row_sets[entry.key]
        )

    def is_apart(self, entry: Entry) -> bool:
        """Whether an entry's score is on other rows than those on which scores of its metric are compared."""
        return self.row_sets[entry.key] not in ("", self._common_rows[entry.metric])

    @cached_property
    def row_sets(self) -> Mapping[Key, str]:
        """A name for the out-of-fold rows of each entry's score, equal for equal rows; empty without a score.

        The record beside a submission has the fingerprint of its rows. An entry without a record is grouped
        with entries of the same number of rows.
        """
        known = {entry.key: _fingerprint(self.submissions / entry.file) for entry in self.entries}
        by_count: dict[int, set[str]] = {}
        for entry in self.entries:
            if known[entry.key]:
                by_count.setdefault(entry.rows, set()).add(known[entry.key])
        keys = {}
        for entry in self.entries:
            alike = by_count.get(entry.rows, set())
            digest = known[entry.key] or (next(iter(alike)) if len(alike) == 1 else "")
            keys[entry.key] = "" if entry.cv is None else f"{entry.rows} {digest}"
        return keys

    @cached_property
    def _common_rows(self) -> Mapping[str, str]:
        """For each metric the rows on which scores are compared: the most rows, then the most and newest entries."""
        sets: dict[str, dict[str, list[Entry]]] = {}
        for entry in self.entries:
            sets.setdefault(entry.metric, {}).setdefault(self.row_sets[entry.key], []).append(entry)

        def size(rows: str, entries: Sequence[Entry]) -> tuple[bool, int, int, int]:
            return rows != "", entries[0].rows, len(entries), max(entry.number for entry in entries)

        return {
            metric: max(by_rows, key=lambda rows, by_rows=by_rows: size(rows, by_rows[rows]))  # type: ignore[misc]
            for metric, by_rows in sets.items()
        }

    def _place(self, entry: Entry) -> tuple[str, bool, bool, int, str, tuple[str, bool, float, int]]:
        """Returns the sort key of `Entry.place`, with the entries of other rows after those that are compared."""
        apart = self.is_apart(entry)
        rows = self.row_sets[entry.key] if apart else ""
        return entry.metric, entry.cv is None, apart, -entry.rows if apart else 0, rows, entry.place()

    def _change(self, change: Callable[[Sequence[Entry]], tuple[Entry, ...]]) -> Board:
        with lock_submissions(self.submissions):
            board = replace(self, entries=_merge_entries(change(Board.read(self.submissions).entries)))
            name, text = GIT_ATTRIBUTES
            if not (self.submissions / name).exists():
                files.write_text(self.submissions / name, text)
            files.write_text(self.submissions / BOARD, _text(board.entries))
        return board


def _fingerprint(file: Path) -> str:
    """Returns the fingerprint of the out-of-fold rows in a submission's record, empty if the record lacks it."""
    try:
        return str(files.read_json(file.with_suffix(".json"))["fingerprints"]["rows"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _merge_entries(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Returns the entries in the order of their numbers, with the lines of one submission joined."""
    merged: dict[Key, Entry] = {}
    for entry in entries:
        merged[entry.key] = _both(merged[entry.key], entry) if entry.key in merged else entry
    return tuple(entry for _, entry in sorted(merged.items()))


def _both(one: Entry, other: Entry) -> Entry:
    """Joins two lines of one submission. Of two leaderboard scores the later line's counts, with a warning."""
    scores = [entry.leaderboard for entry in (one, other) if entry.leaderboard is not None]
    if len(set(scores)) > 1:
        text = (
            f"W17 submission {one.stem} has two leaderboard scores, {scores[0]} and {scores[1]}: kit "
            f"uses the second (kit board score {one.stem} SCORE corrects it)"
        )
        warnings.warn(KitWarning(text), stacklevel=4)
    notes = dict.fromkeys(note for entry in (one, other) for note in entry.notes.split("; ") if note)
    return replace(one, leaderboard=scores[-1] if scores else None, notes="; ".join(notes))


def _refuse_marks(path: Path) -> None:
    text = path.read_bytes().decode(errors="replace")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if line.startswith(CONFLICT_MARKERS)]
    if lines:
        raise DataError(
            f"{path} has git conflict markers on lines {', '.join(map(str, lines))}",
            code="D37",
            hint="keep the lines of both branches and remove the markers; the .gitattributes beside the "
            "board lets git do it",
        )


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


def enter_submission(
    workspace: Workspace,
    name: str,
    table: pd.DataFrame,
    record: Mapping[str, Any],
    metric: Metric,
    cv: float | None,
    notes: str = "",
) -> tuple[WrittenSubmission, Board, Entry]:
    """Writes the submission and its record, and enters it. An existing entry stays as it is.

    `record` has `members`, `ensembler`, `rows` and `created`. `cv` is None if the blend has no score.
    """
    with lock_submissions(workspace.submissions):
        board = Board.read(workspace.submissions)
        entered = {entry.file for entry in board.entries}
        separator = workspace.competition.data.sep
        written = write(workspace.submissions, name, table, record, separator, board.last, entered)
        if written.is_new:
            board = board.enter(_new_entry(written, record, metric, cv, notes))
    return (
        written,
        board,
        next(candidate for candidate in board.entries if candidate.file == written.path.name),
    )


def _new_entry(
    written: WrittenSubmission,
    record: Mapping[str, Any],
    metric: Metric,
    cv: float | None,
    notes: str,
) -> Entry:
    return Entry(
        number=written.number,
        name=written.path.stem.partition("-")[2],
        file=written.path.name,
        cv=cv,
        metric=metric.plugin_name(),
        better="higher" if metric.higher_is_better else "lower",
        leaderboard=None,
        members=" ".join(member["member"] for member in record["members"]),
        ensembler=str(record["ensembler"]["name"]),
        rows=int(record["rows"]),
        created=str(record["created"]),
        notes=notes,
    )
