"""Contract tests of rerankers, on drawn unit vectors of a few clusters."""

from __future__ import annotations

import numpy as np

from kit.core.nearest import nearest
from kit.core.randomness import generator
from kit.kinds import Reranker

QUERIES, GALLERY, FEATURES, K = 12, 40, 16, 6


def _draw() -> tuple[np.ndarray, np.ndarray]:
    rng = generator(0, "laws of rerankers")
    centres = rng.standard_normal((4, FEATURES))
    vectors = centres[np.arange(QUERIES + GALLERY) % 4] + 0.6 * rng.standard_normal(
        (QUERIES + GALLERY, FEATURES)
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors[:QUERIES].astype(np.float32), vectors[QUERIES:].astype(np.float32)


def law_every_query_has_k_rows_the_nearest_first(plugin: Reranker) -> None:
    """Every query has k different rows of the gallery, with finite similarities in descending order."""
    queries, gallery = _draw()
    neighbours = plugin.search(queries, gallery, K, nearest)
    assert neighbours.rows.shape == neighbours.similarities.shape == (QUERIES, K), (
        f"rows of shape {neighbours.rows.shape}"
    )
    assert ((neighbours.rows >= 0) & (neighbours.rows < GALLERY)).all(), (
        f"rows {neighbours.rows.min()} to {neighbours.rows.max()}"
    )
    doubles = sum(len(set(row)) < K for row in neighbours.rows.tolist())
    assert not doubles, f"{doubles} queries have a row twice"
    assert np.isfinite(neighbours.similarities).all(), "a similarity is not finite"
    assert (np.diff(neighbours.similarities, axis=1) <= 0).all(), "similarities rise"


def law_what_it_is_given_stays_as_it_is(plugin: Reranker) -> None:
    """The queries and the gallery are not changed."""
    queries, gallery = _draw()
    before = queries.copy(), gallery.copy()
    plugin.search(queries, gallery, K, nearest)
    assert np.array_equal(queries, before[0]), "the queries were changed"
    assert np.array_equal(gallery, before[1]), "the gallery was changed"


def law_each_query_is_answered_by_itself(plugin: Reranker) -> None:
    """A query's result does not depend on the other queries."""
    queries, gallery = _draw()
    whole = plugin.search(queries, gallery, K, nearest)
    alone = plugin.search(queries[3:4], gallery, K, nearest)
    off = np.abs(alone.similarities[0] - whole.similarities[3]).max()
    assert off < 1e-4, f"a similarity is {off} away when it is asked alone"
