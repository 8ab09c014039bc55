"""Vectors moved towards their neighbours, a chunk at a time."""

from __future__ import annotations

import numpy as np

CHUNK_ROWS = 4_096  # rows per chunk: their neighbours are 10 times as many vectors


def directions(vectors: np.ndarray, gallery: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns unit vectors along vectors (N, D) + the sum over k of weights (N, k) * gallery[rows (N, k)], in
    the given type.

    A vector stays as it is if the sum has length 0.
    """
    averaged = np.empty_like(vectors)
    for start in range(0, len(vectors), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        plain = vectors[part].astype(np.float32)
        total = plain + np.einsum("nk,nkd->nd", weights[part], gallery[rows[part]].astype(np.float32))
        lengths = np.linalg.norm(total, axis=1, keepdims=True)
        averaged[part] = np.where(lengths > 0, total / np.where(lengths > 0, lengths, 1), plain)
    return averaged
