"""Which photos of a class show one shelf, found by matching keypoints: an honest split of a competition without groups.

    python benchmarks/shelves.py COMPETITION OUT.csv [--matches 12]

Writes the training table again with a column `shelf`: photos of one class that share at least so many SIFT matches
which one homography explains, directly or over others, have one value. Cartons of one print match wherever they stand:
where more than half of a class would be one shelf, it takes half as many matches again, until none holds more.
Then `kit init --group shelf`. The test images are not looked at.

Source: Lowe 2004, "Distinctive Image Features from Scale-Invariant Keypoints" (keypoints, ratio test .8); Fischler and
Bolles 1981 (RANSAC); both by OpenCV.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

RATIO = 0.8  # of the distances to the best and the second best match
PIXELS = 4.0  # a match is explained where the homography lands this near


def main() -> None:
    """Reads train.csv, matches within each class, writes the table with its shelves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("competition", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--matches", type=int, default=12)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    table = pd.read_csv(options.competition / "train.csv", dtype=str)
    images = options.competition / "images" / "train"
    table["shelf"] = ""
    for label, rows in table.groupby("label"):
        found = [keypoints(images / f"{name}.jpg") for name in rows["image_id"]]
        shelves = components(found, options.matches)
        table.loc[rows.index, "shelf"] = [f"{label}-{shelf}" for shelf in shelves]
    table.to_csv(options.out, index=False, lineterminator="\n")
    sizes = table["shelf"].value_counts()
    print(f"{len(table)} photos, {len(sizes)} shelves; the largest have {sizes.head(8).tolist()} photos")


def keypoints(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Places (N, 2) and descriptors (N, 128) of a photo's SIFT keypoints, at most 400."""
    grey: Any = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    points, descriptors = cv2.SIFT_create(400).detectAndCompute(grey, None)  # type: ignore[attr-defined]
    return np.array([point.pt for point in points], np.float32).reshape(-1, 2), descriptors


def components(photos: list[tuple[np.ndarray, np.ndarray]], least: int) -> np.ndarray:
    """The number of each photo's shelf, (photos,); none holds more than half of them."""
    pairs = np.array(list(combinations(range(len(photos)), 2)), dtype=int).reshape(-1, 2)
    counts = np.array([matches(photos[one], photos[other]) for one, other in pairs])
    needed = float(least)
    while True:
        near = pairs[counts >= needed]
        graph = coo_matrix((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(len(photos),) * 2)
        shelves = np.asarray(connected_components(graph, directed=False)[1])
        if np.bincount(shelves).max() <= len(photos) / 2 or not len(near):
            return shelves
        needed *= 1.5


def matches(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> int:
    """How many matches of two photos one homography explains."""
    if min(len(one[0]), len(other[0])) < 4:
        return 0
    near = 2 - 2 * (unit(one[1]) @ unit(other[1]).T)  # squared distances of unit vectors
    best = np.argpartition(near, 1, axis=1)[:, :2]
    pair = np.take_along_axis(near, best, axis=1)
    pair.sort(axis=1)
    kept = np.flatnonzero(pair[:, 0] < RATIO**2 * pair[:, 1])
    if len(kept) < 4:
        return 0
    places = one[0][kept], other[0][near[kept].argmin(axis=1)]
    _, explained = cv2.findHomography(*places, cv2.RANSAC, PIXELS)
    return 0 if explained is None else int(explained.sum())


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))


if __name__ == "__main__":
    main()
