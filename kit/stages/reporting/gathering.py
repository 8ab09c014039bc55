"""Gathering: a workspace's facts for its report; what cannot be told is said in its section, and stops nothing else."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kit.config.workspace import Workspace
from kit.core.progress import Outcome, Progress, Work
from kit.data.table import Table, rows_to_predict
from kit.errors import KitError, KitWarning
from kit.runs.run import versions
from kit.stages.checks.check import checking
from kit.stages.checks.finding import Finding
from kit.stages.figures.pictures import augmented
from kit.stages.reporting import blends
from kit.stages.reporting import findings as finding_rows
from kit.stages.reporting.context import PARTS, TASK, Office, absent, told
from kit.stages.reporting.facts import Absent, Augmented, Blended, Data, Facts, Found, Viewed
from kit.stages.reporting.photos import photos
from kit.stages.reporting.rows import looking
from kit.stages.reporting.runs import trained
from kit.stages.reporting.summary import Sections, summed_up
from kit.stages.submission.board import Board

STRIPS = 4  # rows of the augmentation grid


@contextmanager
def quietly() -> Iterator[None]:
    """Keeps warnings from between the lines of progress, for work that yields."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        yield


def gathering(
    workspace: Workspace, runs: Sequence[str] = (), check: bool = True, cam: bool = False
) -> Work[Facts]:
    """All facts of a report of these runs, by default of all. `check` takes as long as kit check, `cam` needs torch.

    Raises ConfigError C20 for a member that there is not.
    """
    office = Office.open(workspace, runs)
    yield Progress(TASK, 0, PARTS, "runs")
    told_runs = trained(office.records, office.metric)
    yield Progress(TASK, 1, PARTS, "out-of-fold rows")
    judged, wrongs, doubted = yield from looking(office, cam)
    yield Progress(TASK, 2, PARTS, "data")
    data = yield from _data(office, check, "" if isinstance(judged, Absent) else judged.member)
    yield Progress(TASK, 4, PARTS, "views")
    views = _views(office)
    yield Progress(TASK, 5, PARTS, "blend and board")
    board = told(lambda: Board.read(workspace.submissions))
    ranked = board if isinstance(board, Absent) else told(lambda: blends.ranked(workspace, board))
    blend = _blend(office, board)
    sections = Sections(data, told_runs, judged, views, blend, ranked)
    rows = [] if isinstance(board, Absent) else [(entry.number, entry.rows) for entry in board.entries]
    return Facts(
        name=workspace.root.name, written=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions=versions(), summary=summed_up(office.metric, office.best, rows, sections),
        data=data, runs=told_runs, judged=judged, mistakes=wrongs, suspects=doubted,
        views=views, blend=blend, board=ranked,
        left_out=tuple(f"{count} pictures of {of}" for of, count in sorted(office.album.left_out.items())),
        lacking=tuple(office.lacking),
    )  # fmt: skip


def _views(office: Office) -> tuple[Viewed, ...] | Absent:
    table, data = office.table, office.workspace.competition.data
    return (
        table
        if isinstance(table, Absent)
        else told(lambda: blends.viewed(office.records, office.metric, table, data))
    )


def _blend(office: Office, board: Board | Absent) -> Blended | Absent:
    if isinstance(board, Absent):
        return board
    entries = [entry for entry in board.ranked() if entry.metric == office.metric.plugin_name()]
    return told(lambda: blends.blended(office.workspace, entries))


def _data(office: Office, check: bool, member: str) -> Work[Data | Absent]:
    """The tables, and what kit check finds with pictures, by what `member` predicts, which fills the cache."""
    if isinstance(office.table, Absent):
        return office.table
    workspace, train = office.workspace, office.table
    data = workspace.competition.data
    test = told(lambda: rows_to_predict(workspace.root, data, train.classes))
    found = (
        (yield from _findings(office, member, train, test))
        if check
        else Absent("nobody looked at the data for this report (--no-check)", "kit check")
    )
    return Data(
        train=len(train), test=None if isinstance(test, Absent) or not len(test) else len(test),
        counts=dict(zip(train.classes, train.counts().tolist(), strict=True)), multi_label=train.is_multi_label,
        sources={source.name: str(source) for source in train.other_sources()},
        findings=found, augmenter=str(workspace.experiment.augmenter.get("name", "")),
        augmented=(yield from _augmented(office)),
    )  # fmt: skip


def _findings(
    office: Office, member: str, train: Table, test: Table | Absent
) -> Work[tuple[Found, ...] | Absent]:
    work = Outcome(checking(office.workspace, [f"runs/{member}"] if member else ()))
    try:
        with quietly():
            yield from work
    except KitError as error:
        return absent(error)
    files = finding_rows.Files.of(train, *(() if isinstance(test, Absent) else (test,)))
    findings: Sequence[Finding] = work.result.findings
    cases = [finding_rows.pictured(finding, files) for finding in findings]
    ids = list(dict.fromkeys(name for found in cases for _, names in found for name in names))
    images = yield from photos(office.workspace, [files.paths[name] for name in ids])
    at = {name: image for name, image in zip(ids, images, strict=True) if image is not None}
    return tuple(
        finding_rows.found(finding, named, at, office.album)
        for finding, named in zip(findings, cases, strict=True)
    )


def _augmented(office: Office) -> Work[tuple[Augmented, ...] | Absent]:
    work = Outcome(augmented(office.workspace, rows=STRIPS))
    try:
        with quietly():
            yield from work
    except KitError as error:
        return absent(error)
    return finding_rows.augmented(work.result, office.album)
