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
from threadpoolctl import threadpool_limits

from kit.data.folds import connected_components
from kit.images.scenes import Keypoints, count_matches, detect_keypoints, scene_pairs


def main() -> None:
    """Reads train.csv, matches within each class, writes the table with its shelves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("competition", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--matches", type=int, default=12)
    options = parser.parse_args()
    # small products of matrices are slower with several threads, and many times slower beside other work
    cv2.setNumThreads(1)
    threadpool_limits(1)
    table = pd.read_csv(options.competition / "train.csv", dtype=str)
    images = options.competition / "images" / "train"
    table["shelf"] = ""
    for label, rows in table.groupby("label"):
        keypoints_of_photos = [keypoints(images / f"{name}.jpg") for name in rows["image_id"]]
        shelves = components(keypoints_of_photos, options.matches)
        table.loc[rows.index, "shelf"] = [f"{label}-{shelf}" for shelf in shelves]
    table.to_csv(options.out, index=False, lineterminator="\n")
    sizes = table["shelf"].value_counts()
    print(f"{len(table)} photos, {len(sizes)} shelves; the largest have {sizes.head(8).tolist()} photos")


def keypoints(path: Path) -> Keypoints:
    """A photo's keypoints, of the grey picture that its decoder makes."""
    grey: Any = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    return detect_keypoints(grey)


def components(photos: list[Keypoints], least: int) -> np.ndarray:
    """The number of each photo's shelf, (photos,); none holds more than half of them."""
    pairs = np.array(list(combinations(range(len(photos)), 2)), dtype=int).reshape(-1, 2)
    counts = np.array([count_matches(photos[one], photos[other]) for one, other in pairs])
    return connected_components(len(photos), scene_pairs(len(photos), pairs, counts, least).tolist())


if __name__ == "__main__":
    main()
