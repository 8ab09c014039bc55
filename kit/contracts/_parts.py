"""Parts of an answer that laws draw: targets, labels of which some are missing, and predictions that know a little."""

from __future__ import annotations

import numpy as np

from kit.kinds.several_target import SeveralTarget

MISSING = 0.1  # of the labels of each part, except for the first rows
# a class of two, yes or no, and a number
UNLIKE = SeveralTarget((("kind", 2), ("flag", 1), ("height", 1)), ("softmax", "sigmoid", "number"))


def part_targets(columns: int) -> list[SeveralTarget]:
    """Returns targets whose parts have so many columns: parts of two classes, and for four columns unlike parts."""
    names = ("kind", "size", "form")[: columns // 2]
    alike = SeveralTarget(tuple((name, 2) for name in names))
    return [alike, UNLIKE] if columns == 4 else [alike]


def draw_labels(target: SeveralTarget, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Returns labels (N, K) of parts: no 1, or NaN in parts of other kinds, if a label is missing."""
    blocks = []
    for part in target.layout:
        size = part.place.stop - part.place.start
        missing = (rng.random(rows) < MISSING) & (np.arange(rows) >= 2 * size)
        if part.kind == "number":
            block = rng.normal(20, 5, (rows, size))
        elif part.kind == "sigmoid":
            block = rng.permutation(np.arange(rows) % 2)[:, None] * np.ones((1, size))
        else:
            block = np.eye(size)[rng.permutation(np.arange(rows) % size)]
        block[missing] = 0 if part.kind == "softmax" else np.nan
        blocks.append(block)
    labels = np.concatenate(blocks, axis=1)
    return labels if target.kinds else labels.astype(np.int8)


def draw_predictions(target: SeveralTarget, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns predictions float32 (N, K) that know a little of the labels."""
    known, values = np.nan_to_num(labels.astype(float)), np.zeros(labels.shape)
    for part in target.layout:
        own = known[:, part.place]
        noise = rng.normal(0, 1, own.shape) if part.kind == "number" else rng.random(own.shape)
        values[:, part.place] = own + noise if part.kind == "number" else (own + noise) / 2
    return target.normalise(values).astype(np.float32)


def find_fault(target: SeveralTarget, predictions: np.ndarray, free: bool = False) -> str:
    """Returns what is wrong with predictions of parts, in words; empty if nothing is."""
    faults = [
        f"{wrong.sum()} rows: {text}" for text, wrong in target.find_faults(predictions, free) if wrong.any()
    ]
    return "; ".join(faults)
