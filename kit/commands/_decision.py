"""Prints the decision rule, for commands that print scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kit.commands._console import echo

if TYPE_CHECKING:
    from kit.config.workspace import Workspace


def say_decision(workspace: Workspace, say: Callable[[str], None] = echo) -> None:
    """Prints which labels a row is given and why, if rows may have several."""
    from kit.data.table import read_labelled_rows
    from kit.evaluation.competition import explain_decision

    if workspace.competition.data.is_multi_label:
        table = read_labelled_rows(workspace.root, workspace.competition.data)
        say(f"decision: {explain_decision(workspace, table)}")
