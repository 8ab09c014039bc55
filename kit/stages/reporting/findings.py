"""The sections on the tables in numbers, kit check's findings with pictures, and the augmenter's images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kit.data.table import Table
from kit.errors import Case
from kit.stages.checks.finding import Finding
from kit.stages.figures.pictures import AugmentedRow
from kit.stages.reporting.album import Album, shrink_to_fit
from kit.stages.reporting.facts import AugmentedImage, FindingCase, FindingRow
from kit.stages.reporting.row_facts import Picture

CASES = 12  # of a finding that are listed
PICTURED = 6  # of these that have pictures
SIDE_PX = 96  # pixels of their long side
SPLIT = re.compile("(train|test) ")  # as in `train 17 = test 4`


@dataclass(frozen=True, eq=False)
class Files:
    """The path of each id's image, in both tables."""

    paths: Mapping[str, Path]

    @classmethod
    def of(cls, *tables: Table) -> Files:
        """Returns the ids of several tables; one that is in two of them has the first one's image."""
        paths: dict[str, Path] = {}
        for table in reversed(tables):
            paths |= dict(zip(table.ids.tolist(), table.paths, strict=True))
        return cls(paths)

    def find_rows(self, case: Case) -> list[str]:
        """Returns the ids that a case names, in their order."""
        sides = [case.id, *(case.detail.split(" = ") if " = " in case.detail else ())]
        names = []
        for side in filter(None, sides):
            names += [name for name in _readings(side) if name in self.paths][:1]
        return list(dict.fromkeys(names))


def _readings(side: str) -> list[str]:
    """Returns the possible meanings of id `train 17` or `17 (cat)`, the most likely first; ids may have
    brackets too.
    """
    bare = SPLIT.sub("", side, count=1) if SPLIT.match(side) else side
    return [side, bare, bare.rpartition(" (")[0]]


def cases_with_rows(finding: Finding, files: Files) -> list[tuple[Case, list[str]]]:
    """Returns the first cases of a finding that name rows, with the rows' ids."""
    pairs = ((case, files.find_rows(case)) for case in finding.cases[:CASES])
    return [(case, ids) for case, ids in pairs if ids][:PICTURED]


def finding_row(
    finding: Finding,
    cases_with_ids: Sequence[tuple[Case, list[str]]],
    images: Mapping[str, np.ndarray],
    album: Album,
) -> FindingRow:
    """Returns a finding with its first cases, and the pictures of the rows that they name."""
    cases = [
        FindingCase(
            str(case),
            tuple(
                picture
                for name in ids
                if name in images
                and (picture := album.picture(images[name], f"image {name}", "findings", SIDE_PX))
            ),
        )
        for case, ids in cases_with_ids
    ]
    return FindingRow(
        code=finding.code,
        level=finding.level,
        summary=finding.summary,
        effect=finding.effect,
        fix=finding.fix,
        cases=tuple(str(case) for case in finding.cases[:CASES]),
        more=max(len(finding.cases) - CASES, 0),
        shown_cases=tuple(shown_case for shown_case in cases if shown_case.pictures),
    )


def add_augmented(strips: Sequence[AugmentedRow], album: Album) -> tuple[AugmentedImage, ...]:
    """Returns each strip as two pictures, the original and all variants side by side."""
    images = []
    for strip in strips:
        labels = tuple(strip.label.split(", "))
        variants = [shrink_to_fit(image, SIDE_PX) for image in strip.variants]
        text = f"{len(variants)} augmented variants of image {strip.id}, {strip.label}"
        pictures: tuple[Picture | None, ...] = (
            album.picture(strip.original, f"image {strip.id}, {strip.label}", "augmentation", SIDE_PX),
            album.picture(np.concatenate(variants, axis=1), text, "augmentation", SIDE_PX * len(variants)),
        )
        if pictures[0] and pictures[1]:
            images.append(AugmentedImage(strip.id, labels, pictures[0], pictures[1]))
    return tuple(images)
