"""Submission: predictions in exactly the shape of the sample, checked against it, numbered and written."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kit.core import files
from kit.core.locks import hold_lock
from kit.errors import BusyError, ConfigError, KitWarning
from kit.kinds.decision import upgrade_record

# keys of a record that identify submissions of equal content
CONTENT_KEYS = ("members", "ensembler", "format", "decision")
LOCK_TIMEOUT_S = 60.0  # seconds for another process that is writing a submission


@dataclass(frozen=True)
class WrittenSubmission:
    """A submission's number and its two files."""

    number: int
    path: Path
    record: Path
    is_new: bool = True  # False: the same submission was on the board already


def file_slug(name: str) -> str:
    """Returns a name that is a valid file name on every system: letters, digits, `.`, `_` and `-`, at most 60."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-._")[:60] or "submission"


@contextmanager
def lock_submissions(submissions: Path) -> Iterator[None]:
    """Locks the folder of submissions; blocks may be nested. Raises BusyError after a minute's wait."""
    busy = BusyError(
        f"another process has been writing to {submissions} for {LOCK_TIMEOUT_S:.0f} s", code="R08"
    )
    with hold_lock(submissions / ".board.lock", lambda: busy, LOCK_TIMEOUT_S, is_reentrant=True):
        yield


def write(
    submissions: Path,
    name: str,
    table: pd.DataFrame,
    record: Mapping[str, Any],
    sep: str = ",",
    last: int = 0,
    entered: Collection[str] = (),
) -> WrittenSubmission:
    """Writes NNNN-<name>.csv under the next free number, and NNNN-<name>.json with the record beside it.

    `last` is the highest number in use, in case its file was deleted. `entered` are the files that the board
    has. An existing identical submission is not written twice. A submission that a killed process left
    outside of the board is written again under its number. If a file was changed on disk, it is written
    again, and the changed file is renamed (W57).
    """
    text = text_of(table, sep)
    digits = hashlib.sha256(text.encode()).hexdigest()
    with lock_submissions(submissions):
        known = {"name": file_slug(name), "sha256": digits, **{key: record.get(key) for key in CONTENT_KEYS}}
        there = _same(submissions, known)
        if there is not None and there.name in entered:
            if not there.is_file():
                files.write_text(there, text)
            elif is_changed(there):
                moved = _move_aside(there)
                files.write_text(there, text)
                warnings.warn(
                    KitWarning(
                        f"W57 {there} was changed on disk and is restored; the changed file is now "
                        f"{moved.name}"
                    ),
                    stacklevel=2,
                )
            return WrittenSubmission(_number(there), there, there.with_suffix(".json"), is_new=False)
        number = max(next_number(submissions), last + 1) if there is None else _number(there)
        path = submissions / f"{number:04d}-{file_slug(name)}.csv"
        content = {"number": number, "name": file_slug(name), "file": path.name, "sha256": digits, **record}
        files.write_json(
            path.with_suffix(".json"), content
        )  # first, because it identifies a file that has no line yet
        files.write_text(path, text)
    return WrittenSubmission(number, path, path.with_suffix(".json"))


def is_changed(file: Path) -> bool:
    """Whether a submission differs from the one in its record; line ends are ignored.

    Returns False without a record, because nothing is known.
    """
    try:
        digits = dict(files.read_json(file.with_suffix(".json")))["sha256"]
        content = file.read_bytes()
    except (OSError, ValueError, KeyError, TypeError):
        return False
    # git may check out text with CRLF
    return digits not in {
        hashlib.sha256(text).hexdigest() for text in (content, content.replace(b"\r\n", b"\n"))
    }


def _move_aside(file: Path) -> Path:
    """Renames a changed submission to a free name."""
    ends = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    free_name = next(name for end in ends if not (name := file.with_suffix(f".changed{end}.csv")).exists())
    return file.replace(free_name)


def text_of(table: pd.DataFrame, sep: str = ",") -> str:
    """Returns a submission as the text of its file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=sep, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.to_numpy().tolist())
    return text.getvalue()


def read_record(file: Path) -> dict[str, Any]:
    """Returns the record beside a submission: members, ensembler, format. Raises ConfigError C22 for another file."""
    try:
        record = upgrade_record(files.read_json(file))
        has_members = all("member" in member for member in record["members"])
    except (OSError, ValueError, KeyError, TypeError):
        record, has_members = {}, False
    if not has_members or not isinstance(record.get("ensembler"), dict) or "format" not in record:
        raise ConfigError(
            f"{file} is not a record of a submission",
            code="C22",
            hint="use a record such as submissions/0007-name.json, written by kit blend",
        )
    return record


def _same(submissions: Path, known: Mapping[str, Any]) -> Path | None:
    """Returns the file of the same submission, made from the same members, whether it is on the board or not."""
    wanted = files.fingerprint(known)
    for file in sorted(submissions.glob(f"[0-9]*-{known['name']}.json")):
        with suppress(OSError, ValueError, TypeError):
            record = dict(files.read_json(file))
            if files.fingerprint({key: record.get(key) for key in known}) == wanted:
                return file.with_suffix(".csv")
    return None


def _number(file: Path) -> int:
    return int(file.name.partition("-")[0])


def next_number(submissions: Path) -> int:
    """Returns one more than the highest number at the start of a file name in the folder."""
    numbers = [re.match(r"(\d{4,})-", file.name) for file in submissions.iterdir()]
    return max((int(number[1]) for number in numbers if number), default=0) + 1
