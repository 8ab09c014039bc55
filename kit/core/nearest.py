"""search: finds the nearest rows of a gallery by cosine, exactly, by matrix products in chunks.

Memory is bounded by the chunks, not by queries times gallery. Only those of a chunk's products that exceed
the k-th best so far are examined. After a few chunks these are very few.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kit.errors import ConfigError

QUERY_CHUNK = 512  # rows of a product: 512 x 4,096 float32 are 8 MB per thread
FAISS_QUERY_CHUNK = 8_192  # queries per call of faiss
GALLERY_CHUNK = 4_096  # its columns
FIRST_CHUNK = 256  # columns of the first product, all of which are sorted
FAISS_FROM_PRODUCTS = (
    10**9
)  # queries times gallery from which faiss is used, if it is installed: a second of products

Engine = Literal["auto", "numpy", "faiss"]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The k nearest rows of a gallery for every query (Q, k), the nearest first; of equals the earlier row."""

    similarities: np.ndarray  # float32
    rows: np.ndarray  # int64


Search = Callable[[np.ndarray, np.ndarray, int], Neighbours]  # search(queries, gallery, k)


def nearest(queries: np.ndarray, gallery: np.ndarray, k: int, engine: Engine = "auto") -> Neighbours:
    """Returns the k rows of `gallery` (G, D) with the largest product with each of `queries` (Q, D), floats
    of any width.

    `auto` uses faiss from 10^9 products on, if it is installed. Raises ConfigError C28 if k is larger than
    the gallery, C24 if faiss is requested and not installed.
    """
    if not 1 <= k <= len(gallery):
        raise ConfigError(
            f"k is {k}, but the gallery has {len(gallery)} images", code="C28", hint="a smaller k"
        )
    installed = importlib.util.find_spec("faiss") is not None
    if engine == "faiss" and not installed:
        raise ConfigError("faiss is not installed", code="C24", hint="pip install 'kit-competitions[faiss]'")
    fast = engine == "faiss" or (
        engine == "auto" and installed and len(queries) * len(gallery) >= FAISS_FROM_PRODUCTS
    )
    wide = FAISS_QUERY_CHUNK if fast else QUERY_CHUNK
    parts = [queries[start : start + wide] for start in range(0, len(queries), wide)]
    neighbours_of_chunks = (
        [_by_faiss(_wide(part), gallery, k) for part in parts] if fast else _side_by_side(parts, gallery, k)
    )
    if not neighbours_of_chunks:
        return Neighbours(np.empty((0, k), np.float32), np.empty((0, k), np.int64))
    return Neighbours(
        np.concatenate([chunk.similarities for chunk in neighbours_of_chunks]),
        np.concatenate([chunk.rows for chunk in neighbours_of_chunks]),
    )


def nearest_excluding_self(vectors: np.ndarray, k: int, search: Search = nearest) -> Neighbours:
    """Returns the k nearest other rows of each row. If a row has many copies, one of them is left out in its place."""
    neighbours = search(vectors, vectors, k + 1)
    own = neighbours.rows == np.arange(len(vectors))[:, None]
    own[~own.any(axis=1), -1] = True
    shape = (len(vectors), k)
    return Neighbours(neighbours.similarities[~own].reshape(shape), neighbours.rows[~own].reshape(shape))


def _side_by_side(parts: Sequence[np.ndarray], gallery: np.ndarray, k: int) -> list[Neighbours]:
    """Searches each chunk of queries in a thread, because examining products takes as long as computing them."""
    from threadpoolctl import threadpool_limits

    threads = min(len(parts), os.cpu_count() or 1)
    if threads < 2:
        return [_by_products(_wide(part), gallery, k) for part in parts]
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda part: _by_products(_wide(part), gallery, k), parts))


def _wide(vectors: np.ndarray) -> np.ndarray:
    """Returns a chunk as contiguous float32."""
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _by_products(queries: np.ndarray, gallery: np.ndarray, k: int) -> Neighbours:
    """Returns the nearest of one chunk of queries, float32."""
    start = max(FIRST_CHUNK, k)
    best = _best(queries @ _wide(gallery[:start]).T, np.arange(min(start, len(gallery)))[None], k)
    products = np.empty((len(queries), GALLERY_CHUNK), np.float32)
    above = np.empty(products.shape, bool)
    while start < len(gallery):
        part = _wide(gallery[start : start + GALLERY_CHUNK])
        width = len(part)
        scores = np.matmul(queries, part.T, out=products if width == GALLERY_CHUNK else None)
        mask = np.greater(scores, best.similarities[:, -1:], out=above if width == GALLERY_CHUNK else None)
        hits = np.flatnonzero(mask)
        if len(hits):
            best = _merge_best(best, scores, hits, start, k)
        start += width
    return best


def _merge_best(best: Neighbours, products: np.ndarray, hits: np.ndarray, start: int, k: int) -> Neighbours:
    """Merges the best with those of a chunk's products (Q, width) that exceed them, at the positions `hits`."""
    query, column = np.divmod(hits, products.shape[1])
    counts = np.bincount(query, minlength=len(products))
    touched = np.flatnonzero(counts)
    shape = (len(touched), int(counts.max()))
    scores, rows = np.full(shape, -np.inf, np.float32), np.zeros(shape, np.int64)
    position = np.arange(len(hits)) - np.repeat(np.cumsum(counts) - counts, counts)
    line = (np.cumsum(counts > 0) - 1)[query]
    scores[line, position], rows[line, position] = products.ravel()[hits], column + start
    scores = np.concatenate([best.similarities[touched], scores], axis=1)
    rows = np.concatenate([best.rows[touched], rows], axis=1)
    better = _best(scores, rows, k)
    best.similarities[touched], best.rows[touched] = better.similarities, better.rows
    return best


def _best(scores: np.ndarray, rows: np.ndarray, k: int) -> Neighbours:
    """Returns the k largest scores (Q, n) of rows (Q or 1, n), sorted; of equals the first."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    rows = np.broadcast_to(rows, scores.shape)
    return Neighbours(np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1))


def _by_faiss(queries: np.ndarray, gallery: np.ndarray, k: int) -> Neighbours:
    """Returns the nearest of one chunk of queries by faiss's exact search, with the gallery in chunks too."""
    import faiss

    chunk = 16 * GALLERY_CHUNK
    best: Neighbours | None = None
    for start in range(0, len(gallery), chunk):
        part = _wide(gallery[start : start + chunk])
        nearest_in_part: Any = faiss.knn(queries, part, min(k, len(part)), metric=faiss.METRIC_INNER_PRODUCT)
        scores, rows = nearest_in_part[0], nearest_in_part[1] + start
        if best is not None:
            scores = np.concatenate([best.similarities, scores], axis=1)
            rows = np.concatenate([best.rows, rows], axis=1)
        best = _best(scores, rows, k)
    assert best is not None
    return best
