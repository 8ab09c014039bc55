"""Noise: how much the metric would differ on another test set of the same size.

Out-of-fold predictions of a submission are resampled with replacement, as many rows as the test set or its
public part has. The standard deviation of the scores is the standard error of one score. If rows have groups,
whole groups are drawn. Source: Efron 1979, "Bootstrap methods: another look at the jackknife".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from kit.config.workspace import Workspace
from kit.core.files import read_json
from kit.data.table import Table
from kit.errors import InvalidError
from kit.evaluation.competition import (
    Scoring,
    bind_classes,
    bind_rows,
    decision_of,
    for_labels,
    open_aggregator,
)
from kit.evaluation.standard_error import error
from kit.kinds import Ensembler, Metric
from kit.kinds.decision import Decision, upgrade_record
from kit.stages.blending.members import labels, out_of_fold, read_members, with_answers, with_current_names
from kit.stages.submission.board import Entry


@dataclass(frozen=True)
class Noise:
    """Standard errors of the metric, by the predictions of one submission."""

    metric: str
    number: int  # of the submission
    rows: int  # out of fold
    draws: int
    by_groups: bool
    of_cv: float
    test: tuple[int, float]  # rows, and the error for this number
    public: tuple[int, float] | None  # if the competition states the size of the public part
    private: tuple[int, float] | None

    @property
    def of_leaderboard(self) -> float:
        """The standard error of one leaderboard score."""
        return (self.public or self.test)[1]

    @property
    def of_final(self) -> float:
        """The standard error of the final score."""
        return (self.private or self.test)[1]

    @property
    def of_gap(self) -> float:
        """The standard error of leaderboard - cv."""
        return math.hypot(self.of_leaderboard, self.of_cv)

    def describe(self) -> str:
        """Returns the standard errors of a score, in one line."""
        parts = [("test", self.test), ("public", self.public), ("private", self.private)]
        sizes = [f"{part[1]:.4f} on {part[0]} {name} rows" for name, part in parts if part is not None]
        units = "groups" if self.by_groups else "rows"
        more = "" if self.public else "; public_share in config.json splits the test rows"
        return (
            f"noise of {self.metric}, one standard error: {', '.join(sizes)} "
            f"({self.draws} bootstrap draws of the out-of-fold {units} of submission {self.number}{more})"
        )


def noise(workspace: Workspace, entry: Entry) -> Noise:
    """Returns the noise of a submission's metric. Raises KitError if its out-of-fold predictions do not exist."""
    table, record = labels(workspace), _record(workspace, entry)
    spec = workspace.competition.metric
    metric = Metric.open(
        spec if entry.metric == spec["name"] else entry.metric, workspace.root, where="metric"
    )
    if record["classes"] not in (None, list(table.classes)):
        text = f"submission {entry.number} was blended before its classes were renamed"
        raise InvalidError(text, code="D42", hint="run kit blend again")
    decision = record["decision"] or decision_of(workspace, table)
    metric = bind_classes(metric, workspace, table.by_answer, decision)
    members = read_members(workspace, [f"runs/{member}" for member in entry.members.split()])
    members = with_current_names(workspace, members, table)
    members = with_answers(members, Scoring(metric, open_aggregator(workspace, table, metric)), table)
    oof = out_of_fold(members, table, workspace.cache)
    metric = bind_rows(metric, oof.table)
    blended = bind_rows(_recipe(workspace, record, table, decision), oof.table).blend_rows(oof.members)
    rows, share = int(record["test_rows"]), workspace.competition.public_share
    noise_by_size = {
        size: error(metric, oof.truth, blended, size, oof.groups)
        for size in {len(oof.ids), rows, *_parts(rows, share)}
    }
    public, private = (
        ((size, noise_by_size[size][0]) for size in _parts(rows, share)) if share else (None, None)
    )
    return Noise(
        metric=entry.metric,
        number=entry.number,
        rows=len(oof.ids),
        draws=noise_by_size[rows][1],
        by_groups=oof.groups is not None,
        of_cv=noise_by_size[len(oof.ids)][0],
        test=(rows, noise_by_size[rows][0]),
        public=public,
        private=private,
    )


def _parts(rows: int, share: float | None) -> tuple[int, ...]:
    """Returns the rows of the public and of the private part."""
    if share is None:
        return ()
    public = min(max(round(share * rows), 1), rows - 1)
    return public, rows - public


def _record(workspace: Workspace, entry: Entry) -> dict[str, Any]:
    path = (workspace.submissions / entry.file).with_suffix(".json")
    try:
        record = upgrade_record(read_json(path))
        decision = record.get("decision")
        return {
            "test_rows": record["test_rows"],
            "ensembler": record["ensembler"],
            "decision": None if decision is None else Decision.from_spec(decision),
            "classes": record.get("classes"),
        }
    except (OSError, ValueError, KeyError, TypeError):
        raise InvalidError(f"{path} is missing or damaged", code="D46") from None


def _recipe(workspace: Workspace, record: dict[str, Any], table: Table, decision: Decision) -> Ensembler:
    """Returns the fitted ensembler."""
    recipe = Ensembler.open(record["ensembler"], workspace.root, where="ensembler")
    return for_labels(recipe, table.target, decision, table.classes)
