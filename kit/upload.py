"""Upload: the command that sends a submission to Kaggle; kit prints it and never runs it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from kit.board import Board, Entry
from kit.errors import ConfigError
from kit.workspace import Workspace

PLACEHOLDER = "<competition>"


def upload_command(workspace: Workspace, number: int | str) -> str:
    """The command for a submission of the board.

    Raises ConfigError (C22) for a number that is not on the board, or whose file is gone.
    """
    board = Board.read(workspace.submissions)
    entry = board.entry(number)
    file = workspace.submissions / entry.file
    if not file.is_file():
        raise ConfigError(f"{file} is gone", code="C22", hint="kit blend makes it anew")
    competition = workspace.competition.kaggle or PLACEHOLDER
    return f'kaggle competitions submit -c {competition} -f {shlex.quote(_from_here(file))} -m "{_message(entry)}"'


def _from_here(file: Path) -> str:
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def _message(entry: Entry) -> str:
    """What tells submissions apart on the site, without characters that a shell would read."""
    cv = "" if entry.cv is None else f", cv {entry.metric} {entry.cv:.4f}"
    text = f"{entry.number:04d} {entry.name}: {entry.ensembler} of {entry.members}{cv}"
    return re.sub(r"[^\w .,:@+-]", "_", text)
