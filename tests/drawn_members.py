"""Members drawn for the tests of blending: they know as much of the truth as they are given."""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    shares: np.ndarray = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return shares


def drawn(
    seed: int = 0,
    members: int = 5,
    rows: int = 300,
    classes: int = 4,
    signal: float = 1.5,
    shared: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Members (M, N, K) float32 and truth (N,); `shared` is the noise that all have, so that errors overlap."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(rows) % classes)
    common = shared * rng.normal(size=(rows, classes))
    logits = signal * np.eye(classes)[truth] + common + rng.normal(size=(members, rows, classes))
    return softmax(logits).astype(np.float32), truth
