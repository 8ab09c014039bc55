"""Near-duplicates: similar images, found by perceptual hashes and confirmed on small pictures, and their groups."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from kit.core import files
from kit.core.nearest import nearest_excluding_self
from kit.core.progress import Progress, Work
from kit.data.folds import connected_components
from kit.images.cache import Cache
from kit.images.channels import to_grey

SIDE_PX = 32  # pixels of the picture whose cosine transform is hashed
DCT_FREQUENCIES = 8  # lowest frequencies of each axis
CONFIRM_SIDE = 16  # pixels of the picture that confirms
MAX_HAMMING = 14  # of 64 that may differ; two pictures of different things differ in about 32
MIN_CORRELATION = 0.85  # minimum correlation of the small pictures
CHUNK_ROWS = 2048  # rows that are compared with all others at a time
BLOCK = 2**15  # pairs of pictures that are compared at a time
CHAIN, SHARE = 20, 0.02  # rows, and share of all, in one chain of pairs with few direct pairs
NEIGHBOURS = 10  # number of nearest pictures of each row, which show the distance of different ones
CHANCE_EXPONENT = (
    3.4  # power of the median ratio of nearest to last: met by about one in a thousand rows without a copy
)


@dataclass(frozen=True, eq=False)
class Thumbnails:
    """The appearance of images, row by row: 64 bits each, and a small picture of mean 0 and length 1."""

    hashes: np.ndarray  # (rows,) uint64
    pictures: np.ndarray  # (rows, 256) float32
    bad: np.ndarray  # (rows,) bool: no image, and so similar to none


def compute_thumbnails(cache: Cache, task: str = "looks") -> Work[Thumbnails]:
    """Computes the thumbnails of every image of a cache."""
    count = len(cache)
    thumbnails = Thumbnails(
        np.zeros(count, np.uint64),
        np.zeros((count, CONFIRM_SIDE * CONFIRM_SIDE), np.float32),
        np.zeros(count, bool),
    )
    for row in range(count):
        if cache.places[row, 0] < 0:
            thumbnails.bad[row] = True
            continue
        grey = to_grey(cache[row])
        thumbnails.hashes[row] = phash(grey)
        thumbnails.pictures[row] = _picture(grey)
        if row % 256 == 0:
            yield Progress(task, row, count)
    return thumbnails


def phash(grey: np.ndarray) -> np.uint64:
    """Returns 64 bits of a grey picture (height, width): whether each of its lowest frequencies is above their median.

    Source: Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", section 3.2.1 (DCT).
    """
    small = cv2.resize(grey, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:DCT_FREQUENCIES, :DCT_FREQUENCIES].ravel()
    bits = low > np.median(low[1:])  # the first is the mean brightness
    return np.uint64(np.packbits(bits).view(">u8")[0])


def _picture(grey: np.ndarray) -> np.ndarray:
    small = (
        cv2.resize(grey, (CONFIRM_SIDE, CONFIRM_SIDE), interpolation=cv2.INTER_AREA)
        .astype(np.float32)
        .ravel()
    )
    small -= small.mean()
    length = float(np.linalg.norm(small))
    picture: np.ndarray = small / length if length else small
    return picture


def find_near_duplicates(
    thumbnails: Thumbnails, most_bits: int = MAX_HAMMING, alike: float = MIN_CORRELATION
) -> np.ndarray:
    """Returns pairs of similar rows (pairs, 2) int64, the lower first, including copies of one file.

    Every row is compared with every other, 200 million pairs of 20,000 rows in seconds. If that chains many
    rows, as among scans of digits, all pictures are similar. A pair must then be much nearer than its rows'
    other neighbours.
    """
    rows = np.flatnonzero(~thumbnails.bad)
    hashes, pairs = thumbnails.hashes[rows], []
    for start in range(0, len(rows), CHUNK_ROWS):
        apart = np.bitwise_count(hashes[start : start + CHUNK_ROWS, None] ^ hashes[None, start:])
        one, other = np.nonzero(apart <= most_bits)
        forward = other > one
        pairs.append(np.stack([rows[one[forward] + start], rows[other[forward] + start]], axis=1))
    near = np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64)
    near = near[_likeness(thumbnails, near) >= alike]
    return _select_outlying_pairs(thumbnails, rows, near) if _is_chained(len(thumbnails.bad), near) else near


def _likeness(thumbnails: Thumbnails, pairs: np.ndarray) -> np.ndarray:
    """Returns the correlation of the small pictures of each pair, in blocks, because pairs may be many."""
    parts = [pairs[start : start + BLOCK] for start in range(0, len(pairs), BLOCK)]
    likenesses = [np.einsum("ij,ij->i", *(thumbnails.pictures[rows] for rows in part.T)) for part in parts]
    return np.concatenate(likenesses) if likenesses else np.empty(0, np.float32)


def _is_chained(rows: int, pairs: np.ndarray) -> bool:
    """Whether the largest group is a chain. In a group of copies nearly every pair is a copy."""
    groups = connected_components(rows, pairs.tolist())
    sizes = np.bincount(groups)
    largest = int(sizes.argmax())
    size, inside = int(sizes[largest]), int((groups[pairs[:, 0]] == largest).sum())
    return size >= max(CHAIN, SHARE * rows) and inside < size * (size - 1) / 4


def _select_outlying_pairs(thumbnails: Thumbnails, rows: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Returns the pairs that are nearer than chance explains, by the growth of distances from neighbour to neighbour.

    If neighbours were spread evenly in m dimensions, (nearest / tenth) ** m would be below its median ** 3.4
    for one row in 700, for any m. Source: Levina and Bickel 2004, "Maximum Likelihood Estimation of Intrinsic
    Dimension".
    """
    count = min(NEIGHBOURS, len(rows) - 1)
    nearest = np.zeros((len(thumbnails.bad), count), np.float32)
    nearest[rows] = 1 - nearest_excluding_self(thumbnails.pictures[rows], count).similarities
    farthest = chance_distance(nearest[rows]) * nearest[pairs, -1].max(axis=1)
    near: np.ndarray = pairs[1 - _likeness(thumbnails, pairs) <= farthest]
    return near


def chance_distance(nearest: np.ndarray) -> float:
    """Returns the fraction of the distance to a row's last neighbour within which another row is unlikely by chance.

    `nearest` (rows, neighbours) are distances, the smallest first.
    """
    ratios = nearest[:, 0] / np.maximum(nearest[:, -1], np.finfo(np.float32).eps)
    return float(float(np.median(ratios)) ** CHANCE_EXPONENT)


def write_groups(path: Path, ids: Sequence[str], groups: np.ndarray) -> None:
    """Writes a CSV of id and group; a group has the id of its first row."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "group"])
    writer.writerows(zip(ids, (ids[group] for group in groups.tolist()), strict=True))
    files.write_text(path, text.getvalue())
