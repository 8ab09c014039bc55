"""Images a second of kit's training batches, cached images and augmenter `retail`, against the bare pipeline; one core.

    python benchmarks/batches.py [--images 512] [--cache 160] [--size 128] [--batch 32] [--rounds 7]

The bare side calls the same albumentations pipeline on the same images, which lie in memory. kit's side draws the
order and each image's random numbers, takes the images from the map, and makes uint8 batches in channels-last memory
with their labels. Both are held to one core and take turns of a batch; beside the rates by the clock stands the ratio
of processor time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kit.config.models import Data
from kit.core.progress import finish
from kit.engine.batches import TrainBatches
from kit.images.cache import Cache, Geometry, fill_cache
from kit.kinds import Augmenter, Sampler
from kit.plugins.augmenter._albumentations import build

# the transforms that `retail` was made after, by albumentations
PUBLISHED: list[dict[str, Any]] = [
    {"name": "SmallestMaxSize", "area_for_downscale": "image"},
    {"name": "RandomCrop"},
    {"name": "HorizontalFlip", "p": 0.5},
    {"name": "ImageCompression", "quality_range": [99, 100], "p": 0.5},
    {
        "name": "Affine",
        "p": 0.7,
        "rotate": [-10, 10],
        "keep_ratio": True,
        "scale": [0.8, 1.2],
        "translate_percent": [-0.2, 0.2],
    },
    {
        "name": "CoarseDropout",
        "p": 0.5,
        "num_holes_range": [1, 1],
        "hole_height_range": [0.4, 0.4],
        "hole_width_range": [0.4, 0.4],
    },
]


def draw(folder: Path, images: int) -> list[Path]:
    """JPEGs of 384 x 512 with some structure."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    paths = [folder / f"{number:05d}.jpg" for number in range(images)]
    for path in paths:
        coarse = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (512, 384), interpolation=cv2.INTER_CUBIC))
    return paths


def bare_batches(cache: Cache, size: int, batch: int) -> Iterator[int]:
    """The pipeline alone on images in memory, a batch a turn; yields how many it made."""
    pipeline = build(PUBLISHED, size)
    images = [cache[row].copy() for row in range(len(cache))]
    pixels, row = np.empty((batch, size, size, 3), np.uint8), 0
    while True:
        for index in range(batch):
            pixels[index] = pipeline(image=images[row % len(images)])["image"]
            row += 1
        yield batch


def kits_batches(cache: Cache, size: int, batch: int) -> Iterator[int]:
    """kit's batches, one a turn, epoch after epoch."""
    labels = np.arange(len(cache)) % 8
    batches = TrainBatches(
        cache,
        labels,
        np.arange(len(cache)),
        Sampler.open("shuffled"),
        Augmenter.open("retail"),
        size,
        batch,
        workers=0,
    )
    epoch = 0
    while True:
        for images in batches.epoch(epoch):
            yield len(images)
        epoch += 1


def turn(side: Iterator[int]) -> np.ndarray:
    """Images, seconds by the clock, and seconds of the processor for one batch."""
    start = np.array([0, time.perf_counter(), time.process_time()])
    images = next(side)
    return np.asarray(np.array([images, time.perf_counter(), time.process_time()]) - start)


def main() -> None:
    """Prints a line a round and the ratio's median."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--cache", type=int, default=160)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(list(os.sched_getaffinity(0))[:1]))
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as root:
        paths = draw(Path(root) / "images", options.images)
        cache = finish(fill_cache(Path(root) / "cache", paths, Geometry(options.cache), Data())).cache
        sides = [make(cache, options.size, options.batch) for make in (bare_batches, kits_batches)]
        ratios = []
        for _ in range(3):
            turn(sides[0]), turn(sides[1])
        for number in range(options.rounds):
            turns = np.array([[turn(side) for side in sides] for _ in range(options.images // options.batch)])
            bare, mine = turns.sum(axis=0)
            rates = bare[0] / bare[1:], mine[0] / mine[1:]
            ratios.append(rates[1] / rates[0])
            print(
                f"round {number}: bare {rates[0][0]:.0f} images/s, kit {rates[1][0]:.0f} images/s, "
                f"ratio {ratios[-1][0]:.3f}, of processor time {ratios[-1][1]:.3f}"
            )
    clock, processor = np.median(ratios, axis=0)
    print(f"median ratio {clock:.3f}, of processor time {processor:.3f}")


if __name__ == "__main__":
    main()
