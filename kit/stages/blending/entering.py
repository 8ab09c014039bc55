"""Entering: a blend's table written as a submission, with its record, and its line on the board."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from kit.config.workspace import Workspace
from kit.core.files import sha256
from kit.data.predictions import Predictions, ids_fingerprint
from kit.kinds import Ensembler, Format, Metric
from kit.stages.blending.members import Member, aggregator_record
from kit.stages.submission import submission
from kit.stages.submission.board import Board, Entry


def describe_blend(
    workspace: Workspace,
    members: Sequence[Member],
    test: Predictions,
    ensembler: Ensembler,
    recipe: Ensembler,
    shape: Format,
    metric: Metric,
) -> dict[str, Any]:
    """What a record says of any blend, as JSON: `recipe` as it was asked for, `ensembler` as it blends `test` rows."""
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "members": [
            {
                "member": str(one),
                "oof": one.oof.provenance.to_json(),
                "test": one.test.provenance.to_json(),
                **aggregator_record(one),
            }
            for one in members
        ],
        "ensembler": ensembler.spec(),
        "recipe": recipe.spec(),
        "format": shape.spec(),
        "metric": metric.spec(),
        "test_rows": len(test),
        "target": test.target.to_json(),
        "classes": list(test.classes),
        "fingerprints": {
            "test_rows": ids_fingerprint(test.ids),
            "sample": sha256(workspace.path(str(workspace.competition.data.sample))),
        },
    }


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
