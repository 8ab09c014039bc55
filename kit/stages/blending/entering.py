"""Entering: a blend's table written as a submission, with its record, and its line on the board."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from kit.config.workspace import Workspace
from kit.kinds import Metric
from kit.stages.submission import submission
from kit.stages.submission.board import Board, Entry


def enter_submission(
    workspace: Workspace,
    name: str,
    table: pd.DataFrame,
    record: Mapping[str, Any],
    metric: Metric,
    cv: float | None,
    notes: str = "",
) -> tuple[submission.WrittenSubmission, Board, Entry]:
    """Writes the submission and its record, and enters it; one that is there already stays as it is.

    `record` has `members`, `ensembler`, `rows` and `created`. `cv` None: the blend has no score.
    """
    with submission.lock_submissions(workspace.submissions):
        board = Board.read(workspace.submissions)
        entered = {entry.file for entry in board.entries}
        separator = workspace.competition.data.sep
        written = submission.write(workspace.submissions, name, table, record, separator, board.last, entered)
        if written.is_new:
            board = board.enter(_entry(written, record, metric, cv, notes))
    return written, board, next(one for one in board.entries if one.file == written.path.name)


def _entry(
    written: submission.WrittenSubmission,
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
