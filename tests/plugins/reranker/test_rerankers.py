"""Rerankers, against the papers' formulas written out row by row."""

from __future__ import annotations

import numpy as np
import pytest

from kit.core.nearest import nearest
from kit.kinds import Reranker


@pytest.fixture
def vectors() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((50, 6)) + 1
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[:10].astype(np.float32), rows[10:].astype(np.float32)


def unit(vector: np.ndarray) -> np.ndarray:
    direction: np.ndarray = vector / np.linalg.norm(vector)
    return direction


def by_product(queries: np.ndarray, gallery: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(-(queries @ gallery.T), axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_a_query_is_asked_again_with_what_it_found(
    vectors: tuple[np.ndarray, np.ndarray], alpha: float
) -> None:
    queries, gallery = vectors
    new_queries = []
    for query in queries.astype(np.float64):
        cosines = gallery @ query
        top = np.argsort(-cosines, kind="stable")[:4]
        new_queries.append(unit(query + sum(max(cosines[row], 0) ** alpha * gallery[row] for row in top)))
    reranker = Reranker.open({"name": "query_expansion", "neighbours_averaged": 4, "alpha": alpha})
    neighbours = reranker.search(queries, gallery, 5, nearest)
    np.testing.assert_array_equal(neighbours.rows, by_product(np.array(new_queries), gallery, 5))


def test_a_database_image_becomes_a_mean_of_those_nearest_to_it(
    vectors: tuple[np.ndarray, np.ndarray],
) -> None:
    queries, gallery = vectors
    weights = [1, 10**-0.5, 10**-1, 10**-1.5]  # logspace(0, -1.5, 4)
    augmented = []
    for own, image in enumerate(gallery.astype(np.float64)):
        cosines = gallery @ image
        cosines[own] = -np.inf
        top = np.argsort(-cosines, kind="stable")[:3]
        augmented.append(unit(image + sum(w * gallery[row] for w, row in zip(weights[1:], top, strict=True))))
    reranker = Reranker.open({"name": "database_augmentation", "neighbours_averaged": 4, "decay": 1.5})
    neighbours = reranker.search(queries, gallery, 5, nearest)
    np.testing.assert_array_equal(neighbours.rows, by_product(queries, np.array(augmented), 5))


def test_copies_of_an_image_do_not_count_as_the_image_itself_twice() -> None:
    gallery = np.array([[1, 0]] * 4 + [[0, 1]], np.float32)
    neighbours = Reranker.open({"name": "database_augmentation", "neighbours_averaged": 3}).search(
        gallery[:1], gallery, 5, nearest
    )
    np.testing.assert_allclose(neighbours.similarities[0, :4], 1, atol=1e-6)
