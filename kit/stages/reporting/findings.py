"""Looked: the tables in numbers, what kit check finds with pictures, and what the augmenter makes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kit.data.table import Table
from kit.errors import Case
from kit.stages.checks.finding import Finding
from kit.stages.figures.pictures import Strip
from kit.stages.reporting.album import Album, fitted
from kit.stages.reporting.facts import Augmented, Found, Shown
from kit.stages.reporting.row_facts import Picture

CASES = 12  # of a finding that are listed
PICTURED = 6  # of these that have pictures
SIDE = 96  # pixels of their long side
SPLIT = re.compile("(train|test) ")  # as in `train 17 = test 4`


@dataclass(frozen=True, eq=False)
class Files:
    """Where the image of each id is, in both tables."""

    paths: Mapping[str, Path]

    @classmethod
    def of(cls, *tables: Table) -> Files:
        """The ids of several tables; one that is in two of them has the first one's image."""
        found: dict[str, Path] = {}
        for table in reversed(tables):
            found |= dict(zip(table.ids.tolist(), table.paths, strict=True))
        return cls(found)

    def named(self, case: Case) -> list[str]:
        """The ids that a case names, in their order."""
        sides = [case.id, *(case.detail.split(" = ") if " = " in case.detail else ())]
        found = []
        for side in filter(None, sides):
            found += [name for name in _readings(side) if name in self.paths][:1]
        return list(dict.fromkeys(found))


def _readings(side: str) -> list[str]:
    """What id `train 17` or `17 (cat)` may mean, the likeliest first; ids may have brackets too."""
    bare = SPLIT.sub("", side, count=1) if SPLIT.match(side) else side
    return [side, bare, bare.rpartition(" (")[0]]


def pictured(finding: Finding, files: Files) -> list[tuple[Case, list[str]]]:
    """The first cases of a finding that name rows, with the rows' ids."""
    named = ((case, files.named(case)) for case in finding.cases[:CASES])
    return [(case, ids) for case, ids in named if ids][:PICTURED]


def found(
    finding: Finding, named: Sequence[tuple[Case, list[str]]], images: Mapping[str, np.ndarray], album: Album
) -> Found:
    """A finding with its first cases, and the pictures of the rows that they name."""
    cases = [
        Shown(
            str(case),
            tuple(
                picture
                for name in ids
                if name in images
                and (picture := album.picture(images[name], f"image {name}", "findings", SIDE))
            ),
        )
        for case, ids in named
    ]
    return Found(
        code=finding.code, level=finding.level, summary=finding.summary, effect=finding.effect,
        answer=finding.answer, cases=tuple(str(case) for case in finding.cases[:CASES]),
        more=max(len(finding.cases) - CASES, 0), shown=tuple(one for one in cases if one.pictures),
    )  # fmt: skip


def augmented(strips: Sequence[Strip], album: Album) -> tuple[Augmented, ...]:
    """Each strip as two pictures, the original and all variants side by side."""
    made = []
    for strip in strips:
        labels = tuple(strip.label.split(", "))
        shown = [fitted(image, SIDE) for image in strip.variants]
        text = f"{len(shown)} augmented variants of image {strip.id}, {strip.label}"
        pictures: tuple[Picture | None, ...] = (
            album.picture(strip.original, f"image {strip.id}, {strip.label}", "augmentation", SIDE),
            album.picture(np.concatenate(shown, axis=1), text, "augmentation", SIDE * len(shown)),
        )
        if pictures[0] and pictures[1]:
            made.append(Augmented(strip.id, labels, pictures[0], pictures[1]))
    return tuple(made)
