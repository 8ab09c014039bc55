"""Bags of images that tests draw: noise, and in a bag of label yes one image with a bright square."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SIDE = 8
CONFIG: dict[str, Any] = {
    "splitter": {"name": "stratified_kfold", "folds": 2},
    "augmenter": {"name": "flips"},
    "backbone": {"name": "small", "width": 4, "stages": 1},
    "instances": {"name": "attention", "hidden": 4},
    "optimizer": {"name": "adamw", "lr": 0.02},
    "image_size": SIDE,
    "cache_size": SIDE,
    "epochs": 3,
    "batch_size": 6,
    "ema_decay": 0,
    "precision": "float32",
    "metric": "auc",
    "format": {"name": "binary_probability"},
    "device": "cpu",
    "workers": 0,
    "data": {"test": "data/test.csv", "answer": "bag", "order": "slice"},
}


def draw_image_bags(root: Path, train: int = 24, test: int = 6, **config: Any) -> Path:
    """Writes data/ and config.json. Bag n has 1 + n // 2 % 4 images; image t of bag n is `bnn_t`, at place -t."""
    rng = np.random.default_rng(0)
    images = root / "data" / "images"
    images.mkdir(parents=True)
    rows: dict[str, list[str]] = {"train": [], "test": []}
    for bag in range(train + test):
        size, label = 1 + bag // 2 % 4, ("no", "yes")[bag % 2]
        shown = int(rng.integers(size))
        for place in range(size):
            pixels = rng.integers(1, 90, (SIDE, SIDE, 3)).astype(np.uint8)
            if label == "yes" and place == shown:
                pixels[2:6, 2:6] = 250
            name = f"b{bag:02d}_{place}"
            cv2.imwrite(str(images / f"{name}.png"), pixels)
            more = f",{label}" if bag < train else ""
            rows["train" if bag < train else "test"].append(f"{name},b{bag:02d},{-place}{more}")
    for split, head in (("train", "id,bag,slice,label"), ("test", "id,bag,slice")):
        shuffled = [rows[split][at] for at in rng.permutation(len(rows[split]))]
        (root / "data" / f"{split}.csv").write_text("\n".join([head, *shuffled]) + "\n")
    sample_rows = [f"b{bag:02d},0.5" for bag in range(train, train + test)]
    (root / "data" / "sample_submission.csv").write_text("\n".join(["bag,yes", *sample_rows]) + "\n")
    (root / "config.json").write_text(json.dumps({**CONFIG, **config}))
    return root
