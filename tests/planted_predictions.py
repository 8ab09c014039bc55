"""Predictions of a run, changed by tests: what teachers would say, planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kit.data.predictions import Predictions

TEST = [f"{number:03d}" for number in range(60, 72)]
Plan = Callable[[Predictions], np.ndarray]


def file_of(space: Path, split: str, run: str = "a", views: str = "plain") -> Path:
    return space / "runs" / run / "predictions" / views / f"{split}.parquet"


def read(space: Path, split: str, run: str = "a", views: str = "plain") -> Predictions:
    return Predictions.read(file_of(space, split, run, views))


def plant(space: Path, split: str, plan: Plan, run: str = "a", **about: Any) -> Predictions:
    """The run's predictions with other probabilities, and more said of themselves."""
    predictions = read(space, split, run)
    changed_predictions = replace(
        predictions,
        probabilities=plan(predictions).astype(np.float32),
        provenance=replace(predictions.provenance, **about),
    )
    changed_predictions.write(file_of(space, split, run))
    return changed_predictions


def another_fold(fold: int, seed: int = 5) -> Plan:
    """Noise in the place of what one fold's network says."""

    def plan(predictions: Predictions) -> np.ndarray:
        noise = np.random.default_rng(seed).dirichlet(
            np.full(len(predictions.classes), 0.05), len(predictions)
        )
        return np.where((predictions.folds == fold)[:, None], noise, predictions.probabilities)

    return plan


def sure(classes: dict[str, int], value: float = 0.96, others: float = 0.5) -> Plan:
    """`value` for the class of each id that is named, `others` for all others' by number."""

    def plan(predictions: Predictions) -> np.ndarray:
        width = len(predictions.classes)
        rows = [
            (classes.get(name, int(name) % width), value if name in classes else others)
            for name in predictions.ids.tolist()
        ]
        return np.array(
            [[share if k == of else (1 - share) / (width - 1) for k in range(width)] for of, share in rows]
        )

    return plan


def mixed(predictions: Predictions) -> np.ndarray:
    """Each row's number says its class, and each fold is more or less sure of it, 0.5 to 0.97."""
    shares = np.random.default_rng(1).uniform(0.5, 0.97, len(predictions))
    called = np.array([int(name) % 3 for name in predictions.ids.tolist()])
    return np.where(np.arange(3) == called[:, None], shares[:, None], (1 - shares[:, None]) / 2)


def surer(predictions: Predictions) -> np.ndarray:
    """The same classes, with less doubt."""
    squared = predictions.probabilities**2
    return np.asarray(squared / squared.sum(axis=1, keepdims=True))


def unlike(space: Path) -> None:
    """Test images of random blocks, which look like no other image."""
    rng = np.random.default_rng(2)
    for name in TEST:
        blocks = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        image = cv2.resize(blocks, (24, 24), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(space / "data" / "images" / f"{name}.png"), image)
