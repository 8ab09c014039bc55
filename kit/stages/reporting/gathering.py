"""Gathers a workspace's facts for its report. A missing section has its reason, and does not stop the others."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from kit.config.workspace import Workspace
from kit.core.files import StrPath
from kit.core.progress import Progress, ResultOf, Work, stage
from kit.data.table import Table, rows_to_predict
from kit.errors import KitError, KitWarning
from kit.evaluation.competition import Scoring
from kit.kinds import Aggregator
from kit.runs.run import versions
from kit.stages.checks.check import run_checks
from kit.stages.checks.finding import Finding
from kit.stages.figures.pictures import augment_rows
from kit.stages.reporting import blends
from kit.stages.reporting import findings as finding_rows
from kit.stages.reporting.context import PARTS, TASK, ReportContext, absent, section_or_missing
from kit.stages.reporting.facts import (
    AugmentedImage,
    BlendSection,
    DataSection,
    Facts,
    FindingRow,
    Missing,
    ViewScores,
)
from kit.stages.reporting.photos import photos
from kit.stages.reporting.rows import examine_rows
from kit.stages.reporting.runs import run_rows
from kit.stages.reporting.summary import Sections, summarise
from kit.stages.submission.board import Board

STRIPS = 4  # rows of the augmentation grid


@contextmanager
def without_warnings() -> Iterator[None]:
    """Hides warnings between the lines of progress, for work that yields."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        yield


@stage
def gather_facts(
    workspace: Workspace | StrPath, runs: Sequence[str] = (), check: bool = True, cam: bool = False
) -> Work[Facts]:
    """Returns all facts of a report of these runs, by default of all.

    `check` takes as long as kit check, `cam` needs torch. Raises ConfigError C15 if a member does not exist.
    """
    workspace = Workspace.of(workspace)
    context = ReportContext.open(workspace, runs)
    yield Progress(TASK, 0, PARTS, "runs")
    trained_runs = run_rows(context.records, context.metric)
    yield Progress(TASK, 1, PARTS, "out-of-fold rows")
    evaluation, mistakes, suspects = yield from examine_rows(context, cam)
    yield Progress(TASK, 2, PARTS, "data")
    data = yield from _data(context, check, "" if isinstance(evaluation, Missing) else evaluation.member)
    yield Progress(TASK, 4, PARTS, "views")
    views = _views(context)
    yield Progress(TASK, 5, PARTS, "blend and board")
    board = section_or_missing(lambda: Board.read(workspace.submissions))
    ranked = (
        board
        if isinstance(board, Missing)
        else section_or_missing(lambda: blends.board_section(workspace, board))
    )
    blend = _blend(context, board)
    sections = Sections(data, trained_runs, evaluation, views, blend, ranked)
    rows = [] if isinstance(board, Missing) else [(entry.number, entry.rows) for entry in board.entries]
    return Facts(
        name=workspace.root.name,
        written=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions=versions(),
        summary=summarise(context.metric, context.best, rows, sections),
        data=data,
        runs=trained_runs,
        evaluation=evaluation,
        mistakes=mistakes,
        suspects=suspects,
        views=views,
        blend=blend,
        board=ranked,
        left_out=tuple(f"{count} pictures of {of}" for of, count in sorted(context.album.left_out.items())),
        lacking=tuple(context.lacking),
    )


def _views(context: ReportContext) -> tuple[ViewScores, ...] | Missing:
    table, data = context.table, context.workspace.competition.data
    if isinstance(table, Missing):
        return table
    scoring = context.scoring or Scoring(context.metric, Aggregator.open("mean"))
    return section_or_missing(lambda: blends.view_scores(context.records, scoring, table, data))


def _blend(context: ReportContext, board: Board | Missing) -> BlendSection | Missing:
    if isinstance(board, Missing):
        return board
    entries = [entry for entry in board.sort_entries() if entry.metric == context.metric.plugin_name()]
    return section_or_missing(lambda: blends.blend_section(context.workspace, entries))


def _data(context: ReportContext, check: bool, member: str) -> Work[DataSection | Missing]:
    """Returns the tables, and kit check's findings with pictures, by the predictions of `member`; fills the cache."""
    if isinstance(context.table, Missing):
        return context.table
    workspace, train = context.workspace, context.table
    data = workspace.competition.data
    test = section_or_missing(lambda: rows_to_predict(workspace, data, train.classes))
    findings = (
        (yield from _findings(context, member, train, test))
        if check
        else Missing("the data was not checked for this report (--no-check)", "kit check")
    )
    return DataSection(
        train=len(train),
        test=None if isinstance(test, Missing) or not len(test) else len(test),
        train_answers=_count_answers(train),
        test_answers=None if isinstance(test, Missing) else _count_answers(test),
        counts=dict(zip(train.classes, train.by_answer.counts().tolist(), strict=True)),
        has_classes=train.target.has_classes,
        multi_label=train.is_multi_label,
        sources={source.name: str(source) for source in train.external_rows()},
        findings=findings,
        augmenter=str(workspace.experiment.augmenter.get("name", "")),
        augmented=(yield from _augmentation_section(context)),
    )


def _count_answers(table: Table) -> int | None:
    """Returns the number of answers of the rows; None if each image is its own answer."""
    return None if table.answers is None else len(np.unique(table.answers))


def _findings(
    context: ReportContext, member: str, train: Table, test: Table | Missing
) -> Work[tuple[FindingRow, ...] | Missing]:
    work = ResultOf(run_checks.with_progress(context.workspace, [f"runs/{member}"] if member else ()))
    try:
        with without_warnings():
            yield from work
    except KitError as error:
        return absent(error)
    files = finding_rows.Files.of(train, *(() if isinstance(test, Missing) else (test,)))
    findings: Sequence[Finding] = work.result.findings
    cases = [finding_rows.cases_with_rows(finding, files) for finding in findings]
    ids = list(dict.fromkeys(name for case in cases for _, names in case for name in names))
    images = yield from photos(context.workspace, [files.paths[name] for name in ids])
    at = {name: image for name, image in zip(ids, images, strict=True) if image is not None}
    return tuple(
        finding_rows.finding_row(finding, cases_of_finding, at, context.album)
        for finding, cases_of_finding in zip(findings, cases, strict=True)
    )


def _augmentation_section(context: ReportContext) -> Work[tuple[AugmentedImage, ...] | Missing]:
    work = ResultOf(augment_rows.with_progress(context.workspace, rows=STRIPS))
    try:
        with without_warnings():
            yield from work
    except KitError as error:
        return absent(error)
    return finding_rows.add_augmented(work.result, context.album)
