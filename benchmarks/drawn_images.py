"""Competitions of drawn images for benchmarks: digits or shapes in frames, tables and accuracies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits

from kit.data.predictions import Predictions
from kit.runs.run import Run

CONFIG: dict[str, Any] = {
    "splitter": {"name": "stratified_kfold", "folds": 2},
    "augmenter": {"name": "light", "hflip": False},
    "backbone": {"name": "small", "width": 8, "stages": 3},
    "optimizer": {"name": "adamw", "lr": 0.01},
    "image_size": 32,
    "cache_size": 32,
    "ema_decay": 0.9,
    "batch_size": 32,
    "metric": "accuracy",
    "precision": "float32",
    "device": "cpu",
    "workers": 0,
}


SHAPES = ("plus", "times", "rows", "columns")  # each is its own mirror image, and about half white


def shuffle_digits(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns scikit-learn's scans as shares of white (1797, 8, 8), and their digits, in another order."""
    digits = load_digits()
    order = rng.permutation(len(digits.target))
    return digits.images[order] / 16, digits.target[order]


def enlarge(scan: np.ndarray, side: int) -> np.ndarray:
    """Returns a scan in shares of white at `side` px, (side, side)."""
    large: np.ndarray = cv2.resize(scan, (side, side), interpolation=cv2.INTER_CUBIC)
    return large.clip(0, 1)


def frame(
    drawn: np.ndarray, side: int, rng: np.random.Generator, offset: float, noise: float = 0.08
) -> np.ndarray:
    """Returns a noisy frame of `side` px (side, side, 3) with a drawing (h, h), in shares of white.

    The drawing is in the centre, or elsewhere by at most a share `offset` of the room.
    """
    image, large = rng.normal(0.15, noise, (side, side, 3)), len(drawn)
    margin = (side - large) / 2
    top, left = (round(margin + move * margin) for move in rng.uniform(-offset, offset, 2))
    image[top : top + large, left : left + large] += 0.7 * drawn[:, :, None]
    return image


def draw_shape(name: str, side: int) -> np.ndarray:
    """Returns two crossed or parallel bars of `side` px, in shares of white (side, side)."""
    at = (np.arange(side) - (side - 1) / 2) / (side / 2)  # -1 and 1 at the borders
    down, right = at[:, None], at[None, :]
    inside = {
        "plus": (abs(down) <= 0.28) | (abs(right) <= 0.28),
        "times": (abs(down - right) <= 0.28) | (abs(down + right) <= 0.28),
        "rows": np.broadcast_to(abs(abs(down) - 0.6) <= 0.25, (side, side)),
        "columns": np.broadcast_to(abs(abs(right) - 0.6) <= 0.25, (side, side)),
    }
    return inside[name].astype(float)


def write_image(file: Path, shares: np.ndarray) -> None:
    """Writes shares of white (H, W, 3) as a PNG."""
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), (shares.clip(0, 1) * 255).round().astype(np.uint8))


def write_competition(
    root: Path,
    train: Sequence[np.ndarray],
    test: Sequence[np.ndarray],
    labels: Sequence[object],
    config: Mapping[str, Any],
) -> None:
    """Writes images (H, W, 3), tables and config.json; the rows are i00000, i00001 ..., training rows first."""
    names = [f"i{row:05d}" for row in range(len(train) + len(test))]
    for name, image in zip(names, [*train, *test], strict=True):
        write_image(root / "data" / "images" / f"{name}.png", image)
    known, test_names = names[: len(train)], names[len(train) :]
    table = pd.DataFrame({"id": known, "label": labels[: len(train)]})
    table.to_csv(root / "data" / "train.csv", index=False)
    pd.DataFrame({"id": test_names, "label": labels[0]}).to_csv(
        root / "data/sample_submission.csv", index=False
    )
    (root / "config.json").write_text(json.dumps({**CONFIG, **config}))


def find_accuracy(run: Run, split: str, labels: Sequence[object], member: str = "plain") -> float:
    """Returns the accuracy of a run's predictions of out-of-fold or test rows, by the rows' true labels."""
    predictions = Predictions.read(run.predictions(member) / f"{split}.parquet").mean()
    predicted = np.array(predictions.classes)[predictions.probabilities.argmax(axis=1)]
    truth = np.array([str(labels[int(name[1:])]) for name in predictions.ids.tolist()])
    return float((predicted == truth).mean())
