"""Gathering: a workspace's facts for its report; what cannot be told is said in its section, and stops nothing else."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from kit.board import Board
from kit.check import checking
from kit.checking.finding import Finding
from kit.errors import KitError, KitWarning
from kit.kinds import Metric
from kit.pictures import augmented
from kit.progress import Outcome, Progress, Work
from kit.reporting import joined, looked, mistakes, subject
from kit.reporting.album import Album
from kit.reporting.facts import Absent, Augmented, Blended, Data, Facts, Found, Viewed
from kit.reporting.photos import photos
from kit.reporting.row_facts import Judged, Mistake, Suspected
from kit.reporting.subject import Candidate, Subject
from kit.reporting.summary import Sections, summed_up
from kit.reporting.suspected import SHOWN, suspected
from kit.reporting.trained import trained
from kit.runs.records import Record, all_records, find
from kit.runs.run import versions
from kit.table import Table, labelled_rows, test_table
from kit.workspace import Workspace

TASK = "report"
PARTS = 7
STRIPS = 4  # rows of the augmentation grid
CAMS = 60  # mistakes that are shown with Grad-CAM
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Office:
    """What the sections of a report share."""

    workspace: Workspace
    metric: Metric
    records: Sequence[Record]
    table: Table | Absent
    chosen: Candidate | None  # whose rows are looked at
    best: Candidate | None
    album: Album = field(default_factory=Album)

    @classmethod
    def open(cls, workspace: Workspace, runs: Sequence[str]) -> Office:
        """The workspace's records and labelled rows. Raises ConfigError C15 and C20 for runs that there are not."""
        metric = Metric.open(workspace.competition.metric, workspace.root, where="metric")
        names = {find(workspace, text.partition("@")[0]).name for text in runs}
        records = [one for one in all_records(workspace) if not runs or one.run.name in names]
        found = subject.candidates(records, metric.plugin_name())
        best = subject.best(found, metric)
        wanted = [subject.named(found, text) for text in runs if "@" in text]
        table = told(lambda: labelled_rows(workspace.root, workspace.competition.data))
        return cls(workspace, metric, records, table, wanted[0] if wanted else best, best)


def told(tell: Callable[[], T]) -> T | Absent:
    """What a section says, or why it cannot; what is only odd was said by the stage that made it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", KitWarning)
            return tell()
    except KitError as error:
        return _absent(error)


def _absent(error: KitError) -> Absent:
    return Absent(f"{error.code} {error.summary}".strip(), error.hint)


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
    judged, wrongs, doubted = yield from _rows(office, cam)
    yield Progress(TASK, 2, PARTS, "data")
    data = yield from _data(office, check)
    yield Progress(TASK, 4, PARTS, "views")
    views = _views(office)
    yield Progress(TASK, 5, PARTS, "blend and board")
    board = told(lambda: Board.read(workspace.submissions))
    ranked = board if isinstance(board, Absent) else told(lambda: joined.ranked(workspace, board))
    blend = _blend(office, board)
    sections = Sections(data, told_runs, judged, views, blend, ranked)
    rows = [] if isinstance(board, Absent) else [(entry.number, entry.rows) for entry in board.entries]
    return Facts(
        name=workspace.root.name, written=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions=versions(), summary=summed_up(office.metric, office.best, rows, sections),
        data=data, runs=told_runs, judged=judged, mistakes=wrongs, suspects=doubted,
        views=views, blend=blend, board=ranked,
        left_out=tuple(f"{count} pictures of {of}" for of, count in sorted(office.album.left_out.items())),
    )  # fmt: skip


def _views(office: Office) -> tuple[Viewed, ...] | Absent:
    table = office.table
    return (
        table
        if isinstance(table, Absent)
        else told(lambda: joined.viewed(office.records, office.metric, table))
    )


def _blend(office: Office, board: Board | Absent) -> Blended | Absent:
    if isinstance(board, Absent):
        return board
    entries = [entry for entry in board.ranked() if entry.metric == office.metric.plugin_name()]
    return told(lambda: joined.blended(office.workspace, entries))


def _rows(
    office: Office, cam: bool
) -> Work[tuple[Judged | Absent, tuple[Mistake, ...] | Absent, Suspected | Absent]]:
    """The chosen member's rows, the worst of them and those whose label is doubtful with pictures."""
    if office.chosen is None:
        nothing = Absent("no run has out-of-fold predictions", "kit train --name first")
        return nothing, nothing, nothing
    chosen, table = office.chosen, office.table
    if isinstance(table, Absent):
        return table, table, table
    read = told(lambda: subject.read(chosen, table))
    if isinstance(read, Absent):
        return read, read, read
    member: Subject = read
    judged = told(lambda: subject.judged(member, office.metric.plugin_name()))
    found: tuple[Mistake, ...] | Absent
    try:
        found = yield from _mistakes(office, member, cam)
    except KitError as error:
        found = _absent(error)
    return judged, found, (yield from _suspects(office, member))


def _suspects(office: Office, member: Subject) -> Work[Suspected]:
    expected, found = suspected(member)
    shown = found[:SHOWN]
    images = yield from photos(office.workspace, [member.table.paths[row] for row, _ in shown])
    rows = []
    for (_, one), image in zip(shown, images, strict=True):
        text = (
            f"image {one.id}, labelled {', '.join(one.labels) or 'nothing'}, probably {', '.join(one.likely)}"
        )
        picture = None if image is None else office.album.picture(image, text, "doubtful labels")
        rows.append(replace(one, picture=picture))
    return Suspected(member.name, expected, len(found), tuple(rows))


def _mistakes(office: Office, member: Subject, cam: bool) -> Work[tuple[Mistake, ...]]:
    rows, loss = mistakes.worst(member), mistakes.costs(member)
    images = yield from photos(office.workspace, [member.table.paths[row] for row in rows])
    lit = {}
    if cam and rows:
        from kit.reporting.cam import cams

        lit = yield from cams(office.workspace, member, rows[:CAMS])
    found = []
    for row, image in zip(rows, images, strict=True):
        made = mistakes.mistake(member, row, float(loss[row]))
        named, answered = ", ".join(made.labels) or "no label", ", ".join(made.told) or "no label"
        text = f"image {made.id}, labelled {named}, told as {answered}"
        picture = None if image is None else office.album.picture(image, text, "mistakes")
        shown = (
            office.album.picture(lit[row], f"what spoke for {answered} in image {made.id}", "Grad-CAM")
            if row in lit
            else None
        )
        found.append(replace(made, picture=picture, cam=shown))
    return tuple(found)


def _data(office: Office, check: bool) -> Work[Data | Absent]:
    """The tables, and what kit check finds with pictures; check decodes into the cache, as a run would."""
    if isinstance(office.table, Absent):
        return office.table
    workspace, train = office.workspace, office.table
    data = workspace.competition.data
    test = told(lambda: test_table(workspace.root, data, train.classes))
    found = (
        (yield from _findings(office, train, test))
        if check
        else Absent("nobody looked at the data for this report (--no-check)", "kit check")
    )
    return Data(
        train=len(train), test=None if isinstance(test, Absent) else len(test),
        counts=dict(zip(train.classes, train.counts().tolist(), strict=True)), multi_label=train.is_multi_label,
        sources={source.name: str(source) for source in train.other_sources()},
        findings=found, augmenter=str(workspace.experiment.augmenter.get("name", "")),
        augmented=(yield from _augmented(office)),
    )  # fmt: skip


def _findings(office: Office, train: Table, test: Table | Absent) -> Work[tuple[Found, ...] | Absent]:
    work = Outcome(checking(office.workspace))
    try:
        with quietly():
            yield from work
    except KitError as error:
        return _absent(error)
    files = looked.Files.of(train, *(() if isinstance(test, Absent) else (test,)))
    findings: Sequence[Finding] = work.result.findings
    cases = [looked.pictured(finding, files) for finding in findings]
    ids = list(dict.fromkeys(name for found in cases for _, names in found for name in names))
    images = yield from photos(office.workspace, [files.paths[name] for name in ids])
    at = {name: image for name, image in zip(ids, images, strict=True) if image is not None}
    return tuple(
        looked.found(finding, named, at, office.album) for finding, named in zip(findings, cases, strict=True)
    )


def _augmented(office: Office) -> Work[tuple[Augmented, ...] | Absent]:
    work = Outcome(augmented(office.workspace, rows=STRIPS))
    try:
        with quietly():
            yield from work
    except KitError as error:
        return _absent(error)
    return looked.augmented(work.result, office.album)
