"""ReportContext: the state that the sections of a report share, and the handling of missing sections."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from kit.config.workspace import Workspace
from kit.data.table import Table, read_labelled_rows
from kit.errors import KitError, KitWarning
from kit.evaluation.competition import Scoring
from kit.kinds import Metric
from kit.runs.records import Record, RunRef, all_records
from kit.stages.reporting import member
from kit.stages.reporting.album import Album
from kit.stages.reporting.facts import Missing
from kit.stages.reporting.member import Candidate

TASK, PARTS = "report", 6  # of its progress
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class ReportContext:
    """The state that the sections of a report share."""

    workspace: Workspace
    metric: Metric
    scoring: Scoring | None  # None: there is no table, or the metric does not fit it
    records: Sequence[Record]
    table: Table | Missing
    chosen: Candidate | None  # the member whose rows are evaluated
    best: Candidate | None
    album: Album = field(default_factory=Album)
    lacking: list[str] = field(default_factory=list)  # requested parts that could not be made, and why

    @classmethod
    def open(cls, workspace: Workspace, runs: Sequence[str]) -> ReportContext:
        """Opens the workspace's records and labelled rows. Raises ConfigError C15 if a run does not exist."""
        metric = Metric.open(workspace.competition.metric, workspace.root, where="metric")
        scoring = None
        refs = {text: RunRef.parse(text, workspace) for text in runs}
        names = {ref.run.name for ref in refs.values()}
        records = [record for record in all_records(workspace) if not runs or record.run.name in names]
        all_candidates = member.candidates(records, metric.plugin_name())
        best = member.best_member(all_candidates, metric)
        wanted = [
            member.find_member(all_candidates, ref) for text, ref in refs.items() if "@" in Path(text).name
        ]
        table = section_or_missing(lambda: read_labelled_rows(workspace.root, workspace.competition.data))
        if not isinstance(table, Missing):
            labelled = table
            known = section_or_missing(lambda: Scoring.of(workspace, labelled))
            scoring = None if isinstance(known, Missing) else known
            metric = metric if scoring is None else scoring.metric
        return cls(workspace, metric, scoring, records, table, wanted[0] if wanted else best, best)


def section_or_missing(tell: Callable[[], T]) -> T | Missing:
    """Returns a section, or why it is missing.

    Warnings are dropped, because the stage that caused them has shown them.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", KitWarning)
            return tell()
    except KitError as error:
        return absent(error)


def absent(error: KitError) -> Missing:
    """Returns an error in place of a section."""
    return Missing(f"{error.code} {error.summary}".strip(), error.hint)
