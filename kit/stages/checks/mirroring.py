"""Mirroring: finds classes that a mirrored image changes, by their names and by nearest neighbours of thumbnails."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from kit.data.table import Table
from kit.errors import Case
from kit.images.near_duplicates import CONFIRM_SIDE
from kit.kinds import Augmenter
from kit.kinds.targets import ONE_CLASS
from kit.stages.checks.finding import Finding

SIDES = {"left": "right", "right": "left", "l": "r", "r": "l", "clockwise": "counterclockwise"}
SIDES["counterclockwise"] = "clockwise"
MOST_ROWS = 4000  # rows that are compared with each other
LEAST_ACCURACY = 0.8  # of neighbours; below it, a thumbnail does not show the class
LARGEST_DROP = 0.25  # of the accuracy, for mirrored rows


def check_mirroring(
    train: Table, pictures: np.ndarray, units: np.ndarray, augmenter: Augmenter
) -> Iterator[Finding]:
    """Yields K32: an augmenter that mirrors images of classes that differ when mirrored.

    `pictures` (rows, 256) are thumbnails of mean 0 and length 1. Rows of one of `units` (rows,) are never
    neighbours.
    """
    if not augmenter.mirrors():
        return
    pairs = find_sided_pairs(train.classes)
    drop = None if train.target != ONE_CLASS else _neighbour_accuracies(train, pictures, units)
    if not pairs and drop is None:
        return
    reasons = []
    if pairs:
        reasons.append(f"{len(pairs)} pairs of classes differ by left and right")
    if drop is not None:
        reasons.append(
            f"the nearest thumbnail names the class of {drop[0]:.0%} of rows, and of {drop[1]:.0%} when mirrored"
        )
    yield Finding(
        "K32",
        "warning",
        f"mirroring may change the class: {', and '.join(reasons)}",
        "mirrored training images have the wrong label, and views with a flip average them in",
        f"{_answer(augmenter)}, and no --views hflip",
        tuple(Case(f"{one} and {other}") for one, other in pairs),
    )


def find_sided_pairs(classes: Sequence[str]) -> list[tuple[str, str]]:
    """Returns pairs of classes whose names are equal after left and right are exchanged."""
    by_name = {name.lower(): name for name in classes}
    pairs = []
    for lower, name in by_name.items():
        other = by_name.get(re.sub(r"[a-z]+", lambda word: SIDES.get(word[0], word[0]), lower))
        if other is not None and name < other:
            pairs.append((name, other))
    return pairs


def _answer(augmenter: Augmenter) -> str:
    for option in ("hflip", "horizontal"):
        if hasattr(augmenter, option):
            return f"augmenter.{option}={'false' if isinstance(getattr(augmenter, option), bool) else 0}"
    return "remove the flips from augmenter.transforms"


def _neighbour_accuracies(
    train: Table, pictures: np.ndarray, units: np.ndarray
) -> tuple[float, float] | None:
    """Returns the accuracy of the nearest row of another unit, for rows and for mirrored rows.

    It is None without a large drop.
    """
    rows = np.flatnonzero(train.competition_rows & pictures.any(axis=1))
    rows = rows[:: max(1, -(-len(rows) // MOST_ROWS))]
    labels, apart, own = train.targets()[rows], units[rows], pictures[rows]
    if len(np.unique(labels)) < 2 or len(np.unique(apart)) < 2:
        return None
    mirrored = own.reshape(-1, CONFIRM_SIDE, CONFIRM_SIDE)[:, :, ::-1].reshape(len(own), -1)
    plain, other = (_accuracy(each, own, labels, apart) for each in (own, mirrored))
    return (plain, other) if plain >= LEAST_ACCURACY and plain - other >= LARGEST_DROP else None


def _accuracy(queries: np.ndarray, gallery: np.ndarray, labels: np.ndarray, apart: np.ndarray) -> float:
    """Returns the share of rows whose nearest picture of another unit has their label."""
    right = 0
    for start in range(0, len(queries), 512):
        part = slice(start, start + 512)
        alike = queries[part] @ gallery.T
        alike[apart[part, None] == apart[None, :]] = -np.inf
        right += int((labels[alike.argmax(axis=1)] == labels[part]).sum())
    return right / len(queries)
