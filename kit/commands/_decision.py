"""The decision rule, as commands that print scores show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.commands._console import say

if TYPE_CHECKING:
    from kit.workspace import Workspace


def say_decision(workspace: Workspace) -> None:
    """Prints which labels a row is given and why, if rows may have several."""
    from kit.competition import explained_decision
    from kit.table import labelled_rows

    if workspace.competition.data.is_multi_label:
        table = labelled_rows(workspace.root, workspace.competition.data)
        say(f"decision: {explained_decision(workspace, table)}")
