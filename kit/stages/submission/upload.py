"""Upload: a submission that is ready to be sent, its message, and the command that sends it to Kaggle."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from kit.config.workspace import Workspace
from kit.errors import ConfigError, InvalidError
from kit.kinds import Ensembler
from kit.stages.submission.board import Board, Entry
from kit.stages.submission.submission import is_changed, read_record

PLACEHOLDER = "<competition>"


def upload_command(workspace: Workspace, number: int | str) -> str:
    """Returns the command for a submission of the board. Raises as `find_submission`."""
    entry, file = find_submission(workspace, number)
    competition = workspace.competition.kaggle or PLACEHOLDER
    path = shlex.quote(_from_here(file))
    return f'kaggle competitions submit -c {competition} -f {path} -m "{describe_entry(entry)}"'


def find_submission(workspace: Workspace, number: int | str) -> tuple[Entry, Path]:
    """Returns a submission of the board and its file, which is as kit wrote it.

    Raises ConfigError (C22) for a number that is not on the board, or whose file is missing, and InvalidError
    (D74) for a file that kit did not write in this form.
    """
    board = Board.read(workspace.submissions)
    entry = board.entry(number)
    file = workspace.submissions / entry.file
    if not file.is_file():
        raise ConfigError(
            f"{file} does not exist",
            code="C22",
            hint=f"{_restore_command(workspace, entry)} creates it again",
        )
    if is_changed(file):
        raise InvalidError(
            f"{file} was changed on disk: its sha256 differs from its record",
            code="D74",
            hint=f"{_restore_command(workspace, entry)} restores it, and keeps the changed file beside it",
        )
    return entry, file


def _restore_command(workspace: Workspace, entry: Entry) -> str:
    """Returns the command that makes a submission again, from its record."""
    try:
        record = read_record((workspace.submissions / entry.file).with_suffix(".json"))
    except ConfigError:
        return "the same kit blend command"
    if "final" in record:
        return "the same kit final command"
    recipe = dict(record.get("recipe") or {"name": entry.ensembler})
    usual = Ensembler.open(recipe["name"], workspace.root).spec()
    given = {key: value for key, value in recipe.items() if value != usual.get(key) and key != "metric"}
    options = [f"ensembler={recipe['name']}", *(f"ensembler.{key}={json.dumps(given[key])}" for key in given)]
    top_k = ["--top-k", str(k)] if (k := record["format"].get("k")) is not None else []
    return shlex.join(["kit", "blend", *entry.members.split(), *options, *top_k, "--name", entry.name])


def _from_here(file: Path) -> str:
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def describe_entry(entry: Entry) -> str:
    """Returns a submission's message, which identifies it on the site, without characters that a shell would
    interpret.
    """
    cv = "" if entry.cv is None else f", cv {entry.metric} {entry.cv:.4f}"
    text = f"{entry.number:04d} {entry.name}: {entry.ensembler} of {entry.members}{cv}"
    return re.sub(r"[^\w .,:@+-]", "_", text)
