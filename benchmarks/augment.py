"""Images a second of processor time, in one process and one thread: albumentations and torchvision v2 in one pipeline.

    python benchmarks/augment.py [--source 160] [--size 128] [--images 400] [--rounds 5] [--json FILE]

The pipeline is random resized crop, horizontal flip, a small affine map (turn, shift, zoom) and colour jitter
(brightness, contrast, saturation, hue), every step on every image, bilinear. Both run through kit's adapters, which
build it once and seed it for each image; torchvision bare on Pillow's images, the other way to use it, and kit's
ready-made augmenters are measured beside them. All take turns on the same images, so that a machine whose speed
drifts slows all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from kit.core.randomness import generator
from kit.kinds import Augmenter
from kit.plugins.augmenter import _torchvision

Augment = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]

TURN, SHIFT, ZOOM = 8, 0.05, 0.1
LIGHT, HUE = 0.2, 0.02
ALBUMENTATIONS: list[dict[str, Any]] = [
    {"name": "RandomResizedCrop", "scale": [0.35, 1.0]},
    {"name": "HorizontalFlip", "p": 0.5},
    {
        "name": "Affine", "rotate": [-TURN, TURN], "translate_percent": [-SHIFT, SHIFT],
        "scale": [1 - ZOOM, 1 + ZOOM], "keep_ratio": True, "p": 1.0,
    },
    {
        "name": "ColorJitter", "brightness": [1 - LIGHT, 1 + LIGHT], "contrast": [1 - LIGHT, 1 + LIGHT],
        "saturation": [1 - LIGHT, 1 + LIGHT], "hue": [-HUE, HUE], "p": 1.0,
    },
]  # fmt: skip
TORCHVISION: list[dict[str, Any]] = [
    {"name": "RandomResizedCrop", "scale": [0.35, 1.0]},
    {"name": "RandomHorizontalFlip", "p": 0.5},
    {
        "name": "RandomAffine",
        "degrees": TURN,
        "translate": [SHIFT, SHIFT],
        "scale": [1 - ZOOM, 1 + ZOOM],
        "interpolation": "bilinear",
    },
    {"name": "ColorJitter", "brightness": LIGHT, "contrast": LIGHT, "saturation": LIGHT, "hue": HUE},
]
NAMED = ("light", "heavy", "retail", "randaugment", "copies")


def contestants(size: int) -> dict[str, Augment]:
    """Each augmenter by the name that the table shows; the first is what the others are compared with."""
    bare = _torchvision.build(TORCHVISION, size)
    contestants_by_name: dict[str, Augment] = {
        "torchvision": Augmenter.open({"name": "torchvision", "transforms": TORCHVISION}),
        "torchvision, PIL": lambda image, size, rng: np.asarray(bare(Image.fromarray(image))),
        "albumentations": Augmenter.open({"name": "albumentations", "transforms": ALBUMENTATIONS}),
    }
    return contestants_by_name | {f"kit's {name}": Augmenter.open(name) for name in NAMED}


def images_of(side: int, count: int) -> list[np.ndarray]:
    """Smooth images as a cache holds them, the short side at `side`."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 12, 16, 3)).astype(np.uint8)
    return [cv2.resize(image, (side * 4 // 3, side), interpolation=cv2.INTER_CUBIC) for image in coarse]


def rate(augment: Augment, images: list[np.ndarray], size: int, number: int) -> float:
    """Images a second of the processor's time of one pass over the images."""
    start = time.process_time()
    for row, image in enumerate(images):
        augment(image, size, generator(0, "augment", 0, number, row, 0))
    return len(images) / (time.process_time() - start)


def main() -> None:
    """Prints a line for each contestant: the median rate, its range, and the median of the ratios within a round."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=int, default=160, help="short side of the images given")
    parser.add_argument("--size", type=int, default=128, help="side of the images made")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the rates of every round here too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    images, augmenters = images_of(options.source, options.images), contestants(options.size)
    for augment in augmenters.values():
        rate(augment, images[:20], options.size, 0)
    rates: dict[str, list[float]] = {name: [] for name in augmenters}
    for number in range(options.rounds):
        for name, augment in augmenters.items():
            rates[name].append(rate(augment, images, options.size, number))
    base = next(iter(rates.values()))
    print(f"{options.source} -> {options.size} px, {os.cpu_count()} cores seen, one process, one thread")
    print(f"{'':17} {'images/s':>9} {'range':>15} {'ratio':>6}")
    for name, found_rates in rates.items():
        ratio = statistics.median(mine / other for mine, other in zip(found_rates, base, strict=True))
        spread = f"{min(found_rates):,.0f} - {max(found_rates):,.0f}"
        print(f"{name:17} {statistics.median(found_rates):>9,.0f} {spread:>15} {ratio:>6.2f}")
    if options.json:
        options.json.write_text(json.dumps(rates, indent=2) + "\n")


if __name__ == "__main__":
    main()
