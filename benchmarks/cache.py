"""Images a second while the cache is filled from JPEGs of 384 x 512 px, against bare cv2 decoding and resizing, a core.

    python benchmarks/cache.py [--images 1500] [--size 160] [--rounds 5] [--jpeg-scaling] [--folder FOLDER]

The bare side reads each file, decodes it as cv2.imread does, turns it to RGB, brings the short side to the same size
by area, and keeps the pixels in a list. kit's side also hashes the content, checks that the JPEG is whole, turns it
upright, and writes the pixels and the index to the disk. `--jpeg-scaling` shows `data.jpeg_scaling=true`, which decodes
large photos at 1/2 or less; the bare side stays as it is. Both are held to one core and read files that are in the page
cache, in turns; beside the rates by the clock stands the ratio of processor time, which other work disturbs less.
`--folder` takes JPEGs that are there already, in the place of drawn ones.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from kit.config.models import Data
from kit.core.progress import finish
from kit.images.cache import Geometry, fill_cache


def draw(folder: Path, images: int) -> list[Path]:
    """JPEGs of 384 x 512 with coarse and fine structure, of about 50 KB."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    paths = [folder / f"{number:05d}.jpg" for number in range(images)]
    for path in paths:
        coarse = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
        picture = cv2.resize(coarse, (512, 384), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        fine = rng.normal(0, 6, picture.shape).astype(np.int16)
        cv2.imwrite(
            str(path), np.clip(picture + fine, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90]
        )
    return paths


def bare(paths: list[Path], size: int) -> np.ndarray:
    """Seconds by the clock and of the processor for decoding and resizing alone."""
    start, resized = now(), []
    for path in paths:
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        height, width = image.shape[:2]
        scale = size / min(height, width)
        shape = (round(width * scale), round(height * scale))
        resized.append(cv2.resize(image, shape, interpolation=cv2.INTER_AREA))
    return np.asarray(now() - start)


def now() -> np.ndarray:
    """The clock and this process's processor time, seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def kits(paths: list[Path], size: int, jpeg_scaling: bool) -> np.ndarray:
    """The same for filling a cache that is empty."""
    data = Data.model_validate({"jpeg_scaling": jpeg_scaling})
    with tempfile.TemporaryDirectory() as folder:
        start = now()
        finish(fill_cache(Path(folder), paths, Geometry(size), data, workers=1))
        return np.asarray(now() - start)


def main() -> None:
    """Prints a line a round and the ratio's median."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jpeg-scaling", action="store_true")
    parser.add_argument("--folder", type=Path, help="JPEGs that are there already.")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(list(os.sched_getaffinity(0))[:1]))
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as root:
        photos = sorted(options.folder.rglob("*.jpg"))[: options.images] if options.folder else []
        paths = photos or draw(Path(root) / "images", options.images)
        bare(paths, options.size), kits(paths, options.size, options.jpeg_scaling)
        ratios = []
        for number in range(options.rounds):
            theirs, mine = bare(paths, options.size), kits(paths, options.size, options.jpeg_scaling)
            ratios.append(theirs / mine)
            rates = [len(paths) / seconds[0] for seconds in (theirs, mine)]
            clock, processor = ratios[-1]
            print(
                f"round {number}: bare {rates[0]:.0f} images/s, kit {rates[1]:.0f} images/s, "
                f"ratio {clock:.3f}, of processor time {processor:.3f}"
            )
    clock, processor = np.median(ratios, axis=0)
    print(
        f"median ratio {clock:.3f}, of processor time {processor:.3f}; {options.size} px, {options.jpeg_scaling}"
    )


if __name__ == "__main__":
    main()
