"""Looked: the tables in numbers, what kit check finds with pictures, and what the augmenter makes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kit.checking.finding import Finding
from kit.pictures import Strip
from kit.reporting.album import Album, fitted
from kit.reporting.facts import Augmented, Found, Picture
from kit.table import Table

CASES = 12  # of a finding that are listed
PICTURED = 6  # of these that have pictures
SIDE = 96  # pixels of their long side
SIDES = re.compile(r"(?:train |test )?(.+?)(?: \(.*\))?")  # `train 17 = test 4`, `17 (cat) = 4 (dog)`


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

    def named(self, finding: Finding) -> list[str]:
        """The ids that a finding's first cases name, in their order."""
        found = []
        for case in finding.cases[:PICTURED]:
            sides = [case.id, *case.detail.split(" = ")] if " = " in case.detail else [case.id]
            for side in filter(None, sides):
                match = SIDES.fullmatch(side)
                found += [name for name in (side, match[1] if match else "") if name in self.paths][:1]
        return list(dict.fromkeys(found))


def shown(finding: Finding, ids: Sequence[str], images: Mapping[str, np.ndarray], album: Album) -> Found:
    """A finding with its first cases, and the pictures of the rows that they name."""
    made = [album.picture(images[name], f"image {name}", "findings", SIDE) for name in ids if name in images]
    return Found(
        code=finding.code, level=finding.level, summary=finding.summary, effect=finding.effect,
        answer=finding.answer, cases=tuple(str(case) for case in finding.cases[:CASES]),
        more=max(len(finding.cases) - CASES, 0), pictures=tuple(one for one in made if one is not None),
    )  # fmt: skip


def augmented(strips: Sequence[Strip], album: Album) -> tuple[Augmented, ...]:
    """Each strip as two pictures, the original and all variants side by side."""
    found = []
    for strip in strips:
        labels = tuple(strip.label.split(", "))
        shown = [fitted(image, SIDE) for image in strip.variants]
        text = f"{len(shown)} augmented variants of image {strip.id}, {strip.label}"
        pictures: tuple[Picture | None, ...] = (
            album.picture(strip.original, f"image {strip.id}, {strip.label}", "augmentation", SIDE),
            album.picture(np.concatenate(shown, axis=1), text, "augmentation", SIDE * len(shown)),
        )
        if pictures[0] and pictures[1]:
            found.append(Augmented(strip.id, labels, pictures[0], pictures[1]))
    return tuple(found)
