"""Scenes: photos of one place from different viewpoints, found by details that one view of a plane explains.

Photos of a rack, a room or a person taken moments apart are not copies: their pixels differ, but a network
that learned one knows the other. Keypoints find them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from kit.core.progress import Progress, Work
from kit.data.folds import connected_components
from kit.errors import DataError
from kit.images.channels import to_grey
from kit.images.reader import ImageSource

WORKING_SIDE_PX = 384  # pixels of the side at which keypoints are detected
MAX_KEYPOINTS = 400  # maximum keypoints of a photo
RATIO = 0.8  # of the distances to the best and the second best match
REPROJECTION_PX = 4.0  # pixels: a match is explained if the homography maps it this near
MIN_INLIERS = 12  # explained matches that make two photos one scene
COMPARE_ALL_UP_TO = 100  # photos of a class up to which every pair is compared
NEIGHBOURS = 30  # photos of a larger class that one photo is compared with, by its small picture
MAX_SCENE_SHARE = (
    0.5  # maximum share of a class's photos in one scene; more share something else, such as a print
)

One = TypeVar("One")
Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Keypoints:
    """The positions of a photo's keypoints, (N, 2) float32 pixels, and their descriptors, (N, 128) uint8."""

    places: np.ndarray
    descriptors: np.ndarray


def read_keypoints(path: Path, source: ImageSource) -> Keypoints:
    """Returns the keypoints of an image; empty if it cannot be read.

    Source: Lowe 2004, "Distinctive Image Features from Scale-Invariant Keypoints", by OpenCV.
    """
    try:
        grey = to_grey(source.read(path).pixels)
    except DataError:
        return Keypoints(np.empty((0, 2), np.float32), np.empty((0, 128), np.uint8))
    share = WORKING_SIDE_PX / max(grey.shape)
    if share < 1:
        grey = cv2.resize(grey, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    return detect_keypoints(grey)


def detect_keypoints(grey: np.ndarray) -> Keypoints:
    """Returns the keypoints of a grey picture (height, width) uint8."""
    finder: Any = cv2.SIFT_create(MAX_KEYPOINTS)  # type: ignore[attr-defined]
    points, descriptors = finder.detectAndCompute(grey, None)
    places = np.array([point.pt for point in points], np.float32).reshape(-1, 2)
    return Keypoints(
        places, np.zeros((0, 128), np.uint8) if descriptors is None else descriptors.astype(np.uint8)
    )


def count_matches(one: Keypoints, other: Keypoints) -> int:
    """Returns how many matches of two photos one homography explains.

    Source: Lowe 2004, section 7.1 (the ratio test); Fischler and Bolles 1981, "Random Sample Consensus", by OpenCV.
    """
    if min(len(one.places), len(other.places)) < 4:
        return 0
    apart = 2 - 2 * (_unit(one.descriptors) @ _unit(other.descriptors).T)  # squared distances of unit vectors
    best = np.argpartition(apart, 1, axis=1)[:, :2]
    pair = np.sort(np.take_along_axis(apart, best, axis=1), axis=1)
    distinct = np.flatnonzero(pair[:, 0] < RATIO**2 * pair[:, 1])
    if len(distinct) < 4:
        return 0
    places = one.places[distinct], other.places[apart[distinct].argmin(axis=1)]
    _, explained = cv2.findHomography(*places, cv2.RANSAC, REPROJECTION_PX)
    return 0 if explained is None else int(explained.sum())


def _unit(descriptors: np.ndarray) -> np.ndarray:
    wide = descriptors.astype(np.float32)
    unit_vectors: np.ndarray = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-9)
    return unit_vectors


def nearest_thumbnails(rows: np.ndarray, pictures: np.ndarray, others: np.ndarray, most: int) -> np.ndarray:
    """Returns those of `others` whose small pictures are nearest to each of `rows`, (rows, at most `most`)."""
    likeness = pictures[rows] @ pictures[others].T
    likeness[rows[:, None] == others] = -np.inf
    count = min(most, len(others))
    return others[np.argsort(-likeness, axis=1, kind="stable")[:, :count]]


def group_scenes(
    paths: Sequence[Path], labels: np.ndarray, pictures: np.ndarray, source: ImageSource
) -> Work[np.ndarray]:
    """Returns a group number per row (rows,): the first row of its scene.

    Photos of several classes are of several scenes.

    One class is in memory at a time. In a class of up to 100 photos every pair is compared. In a larger class
    each photo is compared with those whose small pictures (`pictures`, by compute_thumbnails) are most similar to its
    own.
    """
    groups, done = np.arange(len(paths)), 0
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        keypoints: list[Keypoints] = []
        for keypoints_of_image in map_threads(lambda row: read_keypoints(paths[row], source), rows.tolist()):
            keypoints.append(keypoints_of_image)
            done += 1
            if done % 32 == 0:
                yield Progress("scenes", done, len(paths))
        local = connected_components(len(rows), _pairs(rows, keypoints, pictures).tolist())
        groups[rows] = rows[local]
    return groups


def map_threads(work: Callable[[One], Made], given: Sequence[One]) -> Iterator[Made]:
    """Yields `work` of each item, in order, by one thread per processor, because OpenCV releases the lock."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            yield from pool.map(work, given)
    finally:
        cv2.setNumThreads(before)


def _pairs(rows: np.ndarray, keypoints: Sequence[Keypoints], pictures: np.ndarray) -> np.ndarray:
    """Returns pairs (pairs, 2) of positions in `rows` that show one scene."""
    pairs_compared = _pairs_to_compare(rows, pictures)
    pairs: list[tuple[int, int]] = [(one, other) for one, other in pairs_compared.tolist()]
    match_counts = [*map_threads(lambda pair: count_matches(keypoints[pair[0]], keypoints[pair[1]]), pairs)]
    return scene_pairs(len(rows), pairs_compared, np.array(match_counts, dtype=np.int64))


def scene_pairs(rows: int, pairs: np.ndarray, counts: np.ndarray, least: float = MIN_INLIERS) -> np.ndarray:
    """Returns those of a class's pairs (pairs, 2) with enough explained matches that no scene is most of the class."""
    needed = least
    while True:
        scene_pairs_kept = pairs[counts >= needed]
        largest = np.bincount(connected_components(rows, scene_pairs_kept.tolist())).max(initial=0)
        if largest <= max(MAX_SCENE_SHARE * rows, 2) or not len(scene_pairs_kept):
            return scene_pairs_kept
        needed *= 1.5


def _pairs_to_compare(rows: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    if len(rows) <= COMPARE_ALL_UP_TO:
        return np.stack(np.triu_indices(len(rows), 1), axis=1)
    places = np.arange(len(rows))
    near = nearest_thumbnails(places, pictures[rows], places, NEIGHBOURS)
    pairs = np.stack([np.repeat(places, near.shape[1]), near.ravel()], axis=1)
    return np.unique(np.sort(pairs, axis=1), axis=0)
