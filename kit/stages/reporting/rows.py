"""Rows: the chosen member's out-of-fold rows, with pictures of the notable ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kit.core.progress import Progress, Work
from kit.data.table import table_of
from kit.errors import KitError
from kit.stages.reporting import member as member_module
from kit.stages.reporting import mistakes
from kit.stages.reporting.context import PARTS, TASK, ReportContext, absent, section_or_missing
from kit.stages.reporting.facts import Missing
from kit.stages.reporting.label_errors import MAX_LABEL_ERRORS, find_suspects
from kit.stages.reporting.member import EvaluatedMember
from kit.stages.reporting.photos import photos
from kit.stages.reporting.row_facts import LabelErrorSection, MemberEvaluation, Mistake

CAMS = 60  # mistakes that are shown with Grad-CAM


def examine_rows(
    context: ReportContext, cam: bool
) -> Work[tuple[MemberEvaluation | Missing, tuple[Mistake, ...] | Missing, LabelErrorSection | Missing]]:
    """Returns the chosen member's rows, with pictures of the worst and of those with a doubtful label."""
    if context.chosen is None:
        nothing = Missing("no run has out-of-fold predictions", "kit train --name first")
        return nothing, nothing, nothing
    chosen, table = context.chosen, context.table
    if isinstance(table, Missing):
        return table, table, table
    renamed = table_of(
        chosen.run.folder, table, context.workspace.competition.data
    )  # as the run's networks have it
    read = section_or_missing(
        lambda: member_module.read(chosen, renamed, context.metric.decision, context.scoring)
    )
    if isinstance(read, Missing):
        return read, read, read
    member: EvaluatedMember = read
    evaluation = section_or_missing(lambda: member_module.evaluate_member(member, context.metric))
    worst: tuple[Mistake, ...] | Missing
    try:
        worst = yield from _mistakes(context, member, cam)
    except KitError as error:
        worst = absent(error)
    return evaluation, worst, (yield from _suspects(context, member))


def _suspects(context: ReportContext, member: EvaluatedMember) -> Work[LabelErrorSection]:
    expected, suspects = find_suspects(member)
    listed = suspects[:MAX_LABEL_ERRORS]
    images = yield from photos(context.workspace, [member.table.paths[row] for row, _ in listed])
    rows = []
    for (_, suspect), image in zip(listed, images, strict=True):
        label, likely = ", ".join(suspect.labels) or "nothing", ", ".join(suspect.likely)
        text = f"image {suspect.id}, labelled {label}, probably {likely}"
        picture = None if image is None else context.album.picture(image, text, "doubtful labels")
        rows.append(replace(suspect, picture=picture))
    return LabelErrorSection(member.name, expected, len(suspects), tuple(rows))


def _mistakes(context: ReportContext, member: EvaluatedMember, cam: bool) -> Work[tuple[Mistake, ...]]:
    rows, loss = mistakes.worst(member), mistakes.costs(member)
    images = yield from photos(context.workspace, [member.table.paths[row] for row in rows])
    overlays = (yield from _overlay_cams(context, member, rows[:CAMS])) if cam and rows else {}
    with_pictures = []
    for row, image in zip(rows, images, strict=True):
        case = mistakes.mistake(member, row, float(loss[row]))
        labelled, predicted = ", ".join(case.labels) or "no label", ", ".join(case.predicted) or "no label"
        text = f"image {case.id}, labelled {labelled}, predicted as {predicted}"
        picture = None if image is None else context.album.picture(image, text, "mistakes")
        overlay = (
            context.album.picture(overlays[row], f"Grad-CAM for {predicted} in image {case.id}", "Grad-CAM")
            if row in overlays
            else None
        )
        with_pictures.append(replace(case, picture=picture, cam=overlay))
    return tuple(with_pictures)


def _overlay_cams(
    context: ReportContext, member: EvaluatedMember, rows: Sequence[int]
) -> Work[dict[int, np.ndarray]]:
    """Returns the rows' images with Grad-CAM. A missing checkpoint does not affect the mistakes."""
    from kit.stages.reporting.cam import cams

    try:
        return (yield from cams(context.workspace, member, rows))
    except KitError as error:
        context.lacking.append(f"Grad-CAM: {error.code} {error.summary}")
        yield Progress(TASK, 1, PARTS, f"no Grad-CAM: {error.code} {error.summary}", line=True)
        return {}
