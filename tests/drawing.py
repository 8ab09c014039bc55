"""Competitions that tests draw: coloured shapes on noise, one or several an image, as files, tables and a config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

CLASSES = ("blob", "cross", "ring")
CONFIG: dict[str, Any] = {
    "splitter": {"name": "stratified_kfold", "folds": 2},
    "augmenter": {"name": "light", "hflip": True},
    "backbone": {"name": "small", "width": 8, "stages": 2},
    "optimizer": {"name": "adamw", "lr": 0.01},
    "image_size": 16,
    "cache_size": 20,
    "epochs": 2,
    "batch_size": 8,
    "ema_decay": 0.9,
    "precision": "float32",
}


def draw(label: str, rng: np.random.Generator, side: int = 24) -> np.ndarray:
    """One image of a class, uint8 BGR (side, side, 3)."""
    image = rng.integers(0, 60, (side, side, 3)).astype(np.uint8)
    centre = tuple(int(value) for value in rng.integers(side // 3, 2 * side // 3, 2))
    colour = tuple(int(value) for value in rng.integers(140, 255, 3))
    if label == "blob":
        cv2.circle(image, centre, side // 4, colour, -1)
    elif label == "ring":
        cv2.circle(image, centre, side // 4, colour, 2)
    else:
        cv2.drawMarker(image, centre, colour, cv2.MARKER_CROSS, side // 2, 2)
    return image


def draw_competition(root: Path, train: int = 60, test: int = 12, **config: Any) -> Path:
    """Writes data/ and config.json into `root`; the keys of `config` replace CONFIG's."""
    rng = np.random.default_rng(0)
    images = root / "data" / "images"
    images.mkdir(parents=True)
    rows = [(f"{number:03d}", CLASSES[number % 3]) for number in range(train + test)]
    for name, label in rows:
        cv2.imwrite(str(images / f"{name}.png"), draw(label, rng))
    lines = ["id,label,person", *(f"{name},{label},p{int(name) // 6}" for name, label in rows[:train])]
    (root / "data" / "train.csv").write_text("\n".join(lines) + "\n")
    lines = ["id,label", *(f"{name},blob" for name, _ in rows[train:])]
    (root / "data" / "sample_submission.csv").write_text("\n".join(lines) + "\n")
    (root / "config.json").write_text(json.dumps({**CONFIG, **config}))
    return root


def draw_several(root: Path, train: int = 60, test: int = 12, **config: Any) -> Path:
    """A competition whose images show any number of shapes; their labels stand in one cell, separated by a space."""
    rng = np.random.default_rng(0)
    images = root / "data" / "images"
    images.mkdir(parents=True)
    rows = []
    for number in range(train + test):
        shown = [label for label in CLASSES if rng.random() < 0.45]
        blank = rng.integers(0, 60, (24, 24, 3)).astype(np.uint8)
        image = np.maximum.reduce([blank, *(draw(label, rng) for label in shown)])
        cv2.imwrite(str(images / f"{number:03d}.png"), image)
        rows.append((f"{number:03d}", " ".join(shown)))
    lines = ["id,shapes", *(f"{name},{cell}" for name, cell in rows[:train])]
    (root / "data" / "train.csv").write_text("\n".join(lines) + "\n")
    lines = ["id,shapes", *(f"{name},blob ring" for name, _ in rows[train:])]
    (root / "data" / "sample_submission.csv").write_text("\n".join(lines) + "\n")
    data = {"label": "shapes", "label_separator": " "}
    several = {"data": data, "loss": "bce", "splitter": {"name": "multilabel_stratified_kfold", "folds": 2}}
    (root / "config.json").write_text(json.dumps({**CONFIG, **several, **config}))
    return root
