"""Submissions of another workspace: enters them on the board with their scores, under numbers that are free here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kit.config.workspace import Workspace
from kit.core.files import read_json, sha256, write_json
from kit.errors import DataError
from kit.stages.submission.board import Board, Entry
from kit.stages.submission.submission import is_changed, lock_submissions, next_number


@dataclass(frozen=True)
class ImportedSubmission:
    """A submission that was entered on the board: its number here and in the other workspace.

    If `is_new` is False, it existed already, and `scored` is true if its leaderboard score is new.
    """

    number: int
    was: int
    name: str
    is_new: bool = True
    scored: bool = False


def check_submissions(folder: Path) -> list[Entry]:
    """Returns the entries of a folder's board.

    Raises DataError D37 for a damaged board, D74 for a changed submission.
    """
    entries = list(Board.read(folder).entries)
    for entry in entries:
        file = folder / entry.file
        if file.is_file() and is_changed(file):
            raise DataError(
                f"{entry.file} differs from its record", code="D74", hint="copy it again, or remove its line"
            )
    return entries


def take_submissions(
    space: Workspace, folder: Path, entries: Sequence[Entry], renamed: Mapping[str, str]
) -> tuple[ImportedSubmission, ...]:
    """Enters submissions on the board. A number that another submission has here is replaced by the next free one.

    A submission that exists already only gets its leaderboard score, if it has none. `renamed` are runs with
    another name here.
    """
    if not entries:
        return ()
    space.submissions.mkdir(exist_ok=True)
    with lock_submissions(space.submissions):
        return tuple(_take(space.submissions, folder, entry, renamed) for entry in entries)


def _take(submissions: Path, folder: Path, entry: Entry, renamed: Mapping[str, str]) -> ImportedSubmission:
    board = Board.read(submissions)
    here = next(
        (own_entry for own_entry in board.entries if _is_same(submissions, own_entry, folder, entry)), None
    )
    if here is not None:
        is_scored = here.leaderboard is None and entry.leaderboard is not None
        if is_scored and entry.leaderboard is not None:
            board.score(here.stem, entry.leaderboard, force=True)
        return ImportedSubmission(here.number, entry.number, here.name, False, is_scored)
    number = entry.number if _is_free(submissions, board, entry.number) else _next(submissions, board)
    file = re.sub(r"^\d+-", f"{number:04d}-", entry.file)
    source = folder / entry.file
    if source.is_file():
        source.rename(submissions / file)
    if (record := source.with_suffix(".json")).is_file():
        content = {**dict(read_json(record)), "number": number, "file": file}
        write_json((submissions / file).with_suffix(".json"), _rename_members(content, renamed))
    notes = [entry.notes] if entry.notes else []
    if number != entry.number:
        notes.append(f"was {entry.number} in another workspace")
    members = " ".join(_rename(member, renamed) for member in entry.members.split())
    board.enter(replace(entry, number=number, file=file, members=members, notes="; ".join(notes)))
    return ImportedSubmission(number, entry.number, entry.name)


def _is_same(submissions: Path, one: Entry, folder: Path, other: Entry) -> bool:
    """Whether two lines are of one submission: made at the same time, with the same content."""
    if (one.created, one.name, one.cv, one.metric) != (other.created, other.name, other.cv, other.metric):
        return False
    files = (submissions / one.file, folder / other.file)
    return not all(file.is_file() for file in files) or sha256(files[0]) == sha256(files[1])


def _is_free(submissions: Path, board: Board, number: int) -> bool:
    is_taken = any(entry.number == number for entry in board.entries)
    return not is_taken and not any(submissions.glob(f"{number:04d}-*"))


def _next(submissions: Path, board: Board) -> int:
    return max(next_number(submissions), board.last + 1)


def _rename(member: str, renamed: Mapping[str, str]) -> str:
    """Returns a member such as `r@d4` with its run's name here."""
    run, at, views = member.partition("@")
    return f"{renamed.get(run, run)}{at}{views}"


def _rename_members(record: dict[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """Returns a record with its members' run names here."""
    if not renamed:
        return record
    members = [
        {**member, "member": _rename(str(member["member"]), renamed)}
        if isinstance(member, dict) and "member" in member
        else member
        for member in record.get("members", [])
    ]
    return {**record, "members": members}
