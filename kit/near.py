"""Near copies: images that show the same, by perceptual hashes confirmed on small pictures, and their groups."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from kit import files
from kit.cache import Cache
from kit.progress import Progress, Work

SIDE = 32  # pixels of the picture whose cosine transform is hashed
KEPT = 8  # lowest frequencies of each axis
SMALL = 16  # pixels of the picture that confirms
MOST_BITS = 14  # of 64 that may differ; two pictures of unlike things differ in about 32
ALIKE = 0.85  # least correlation of the small pictures
CHUNK = 2048  # rows that are compared with all others at a time


@dataclass(frozen=True, eq=False)
class Looks:
    """What images look like, row by row: 64 bits each, and a small picture of mean 0 and length 1."""

    hashes: np.ndarray  # (rows,) uint64
    pictures: np.ndarray  # (rows, 256) float32
    bad: np.ndarray  # (rows,) bool: no image, which looks like no other


def looks(cache: Cache, task: str = "looks") -> Work[Looks]:
    """Looks at every image of a cache once."""
    count = len(cache)
    found = Looks(
        np.zeros(count, np.uint64), np.zeros((count, SMALL * SMALL), np.float32), np.zeros(count, bool)
    )
    for row in range(count):
        if cache.places[row, 0] < 0:
            found.bad[row] = True
            continue
        grey = cv2.cvtColor(np.ascontiguousarray(cache[row]), cv2.COLOR_RGB2GRAY)
        found.hashes[row] = phash(grey)
        found.pictures[row] = _picture(grey)
        if row % 256 == 0:
            yield Progress(task, row, count)
    return found


def phash(grey: np.ndarray) -> np.uint64:
    """64 bits of a grey picture (height, width): which of its lowest frequencies are above their median.

    Source: Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", section 3.2.1 (DCT).
    """
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:KEPT, :KEPT].ravel()
    bits = low > np.median(low[1:])  # the first is the mean brightness
    return np.packbits(bits).view(">u8")[0].astype(np.uint64)


def _picture(grey: np.ndarray) -> np.ndarray:
    small = cv2.resize(grey, (SMALL, SMALL), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    small -= small.mean()
    length = float(np.linalg.norm(small))
    return small / length if length else small


def near_pairs(found: Looks, most_bits: int = MOST_BITS, alike: float = ALIKE) -> np.ndarray:
    """Pairs of rows (pairs, 2) int64, the lower first, that look alike; copies of one file too.

    Every row is compared with every other, 200 million pairs of 20,000 rows in seconds.
    """
    rows = np.flatnonzero(~found.bad)
    hashes, pairs = found.hashes[rows], []
    for start in range(0, len(rows), CHUNK):
        apart = np.bitwise_count(hashes[start : start + CHUNK, None] ^ hashes[None, start:])
        one, other = np.nonzero(apart <= most_bits)
        forward = other > one
        pairs.append(np.stack([rows[one[forward] + start], rows[other[forward] + start]], axis=1))
    near = np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64)
    same = np.einsum("ij,ij->i", found.pictures[near[:, 0]], found.pictures[near[:, 1]])
    return near[same >= alike]


def write_groups(path: Path, ids: Sequence[str], groups: np.ndarray) -> None:
    """Writes a CSV of id and group, the group named by its first row's id."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "group"])
    writer.writerows(zip(ids, (ids[group] for group in groups.tolist()), strict=True))
    files.write_text(path, text.getvalue())
