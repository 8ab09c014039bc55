"""Rows: what the chosen member says of its out-of-fold rows, with pictures of those worth a look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kit.core.progress import Progress, Work
from kit.errors import KitError
from kit.runs.naming import table_of
from kit.stages.reporting import member as member_module
from kit.stages.reporting import mistakes
from kit.stages.reporting.context import PARTS, TASK, Office, absent, told
from kit.stages.reporting.facts import Absent
from kit.stages.reporting.label_errors import SHOWN, suspected
from kit.stages.reporting.member import Subject
from kit.stages.reporting.photos import photos
from kit.stages.reporting.row_facts import Judged, Mistake, Suspected

CAMS = 60  # mistakes that are shown with Grad-CAM


def looking(
    office: Office, cam: bool
) -> Work[tuple[Judged | Absent, tuple[Mistake, ...] | Absent, Suspected | Absent]]:
    """The chosen member's rows, the worst of them and those whose label is doubtful with pictures."""
    if office.chosen is None:
        nothing = Absent("no run has out-of-fold predictions", "kit train --name first")
        return nothing, nothing, nothing
    chosen, table = office.chosen, office.table
    if isinstance(table, Absent):
        return table, table, table
    named = table_of(chosen.run, table, office.workspace.competition.data)  # as the run's networks have it
    read = told(lambda: member_module.read(chosen, named, office.metric.decision))
    if isinstance(read, Absent):
        return read, read, read
    member: Subject = read
    judged = told(lambda: member_module.judged(member, office.metric.plugin_name()))
    found: tuple[Mistake, ...] | Absent
    try:
        found = yield from _mistakes(office, member, cam)
    except KitError as error:
        found = absent(error)
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
    lit = (yield from _lit(office, member, rows[:CAMS])) if cam and rows else {}
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


def _lit(office: Office, member: Subject, rows: Sequence[int]) -> Work[dict[int, np.ndarray]]:
    """The rows' images with Grad-CAM; a checkpoint that is gone takes the mistakes along in no way."""
    from kit.stages.reporting.cam import cams

    try:
        return (yield from cams(office.workspace, member, rows))
    except KitError as error:
        office.lacking.append(f"Grad-CAM: {error.code} {error.summary}")
        yield Progress(TASK, 1, PARTS, f"no Grad-CAM: {error.code} {error.summary}", line=True)
        return {}
