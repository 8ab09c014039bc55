"""Finds scenes that folds split: photos of one place from different viewpoints, searched on a sample of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from kit.core.progress import Progress, Work
from kit.core.randomness import generator
from kit.data.folds import Folds
from kit.data.table import Table
from kit.errors import Case
from kit.images.reader import ImageSource
from kit.images.scenes import MIN_INLIERS, count_matches, map_threads, nearest_thumbnails, read_keypoints
from kit.kinds import Splitter
from kit.kinds.advice import keep_whole
from kit.stages.checks.finding import Finding

SAMPLE_ROWS = 60  # maximum rows that are checked
MAX_IMAGES = 8  # photos of its class that each is compared with, and as many of other classes
MIN_SIDE_PX = 64  # pixels: smaller images have too few details
LEAST_SHARE = 0.05  # excess share of the rows over matches with other classes


def check_scenes_across_folds(
    train: Table, pictures: np.ndarray, folds: Folds, splitter: Splitter, source: ImageSource, side: int
) -> Work[list[Finding]]:
    """Returns K30: rows whose scene their fold trains on, if they are more than the rows that match a photo
    of another class.

    It is skipped if `data.group` is "scene": remaining matches are then a print that most photos of a class
    show. `pictures` (rows, 256) are those of near_duplicates.compute_thumbnails, `side` the images' size in the cache.
    """
    held_out, data = np.flatnonzero(folds.oof_mask(0)), source.data
    if data.group == "scene" or not train.has_one_class or side < MIN_SIDE_PX or len(held_out) < SAMPLE_ROWS:
        return []
    rng, trained = generator(0, "scenes", len(train)), np.flatnonzero(folds.training_mask(splitter, 0))
    labels, hits, others = train.targets(), [], 0
    chosen = rng.choice(held_out, SAMPLE_ROWS, replace=False)
    yield Progress("scenes", 0, SAMPLE_ROWS)
    read = lru_cache(maxsize=None)(lambda row: read_keypoints(train.paths[row], source))
    for number, row in enumerate(chosen.tolist()):
        same = nearest_thumbnails(
            np.array([row]), pictures, trained[labels[trained] == labels[row]], MAX_IMAGES
        )[0]
        unlike = rng.choice(trained[labels[trained] != labels[row]], min(MAX_IMAGES, len(same)))
        list(map_threads(read, [row, *same.tolist(), *unlike.tolist()]))
        match_counts = [count_matches(read(row), read(other)) for other in same.tolist()]
        hits += (
            [(max(match_counts), row, int(same[int(np.argmax(match_counts))]))]
            if max(match_counts, default=0) >= MIN_INLIERS
            else []
        )
        others += any(count_matches(read(row), read(other)) >= MIN_INLIERS for other in unlike.tolist())
        yield Progress("scenes", number + 1, SAMPLE_ROWS)
    answer = keep_whole("scene", data.group, splitter, train.label_kind)
    if data.group not in (None, "auto"):
        answer += f" (instead of data.group={data.group})"
    return list(_report_scenes(train, hits, others, answer))


def _report_scenes(
    train: Table, hits: list[tuple[int, int, int]], others: int, answer: str
) -> Iterator[Finding]:
    if len(hits) - others < LEAST_SHARE * SAMPLE_ROWS:
        return
    cases = tuple(
        Case(f"{train.ids[row]} and {train.ids[other]} share {count} details")
        for count, row, other in sorted(hits, reverse=True)
    )
    yield Finding(
        "K30",
        "problem",
        f"{len(hits)} of {SAMPLE_ROWS} sampled rows show a scene that their fold trains on ({others} "
        "match a photo of another class as well)",
        f"about {100 * len(hits) / SAMPLE_ROWS:.0f}% of the rows are scored by a model that was trained "
        "on their scene, light and background, so the cross-validated score is optimistic",
        answer,
        cases,
    )
