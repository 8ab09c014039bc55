"""search: the nearest rows exactly, whatever the chunks, by matrix products or by faiss."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from kit.core import nearest as nearest_module
from kit.core.nearest import Engine, nearest
from kit.errors import ConfigError


def drawn(rows: int, seed: int, clusters: int = 0) -> np.ndarray:
    """Unit vectors (rows, 24) float32, of a few clusters where asked for, one cluster after another."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((rows, 24))
    if clusters:
        vectors = (
            0.1 * vectors
            + np.repeat(rng.standard_normal((clusters, 24)), -(-rows // clusters), axis=0)[:rows]
        )
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32)


@pytest.mark.parametrize("engine", ["numpy", "faiss"])
@pytest.mark.parametrize("clusters", [0, 5])
@pytest.mark.parametrize("k", [1, 7, 300])
def test_the_nearest_are_those_of_the_whole_product_sorted(
    monkeypatch: pytest.MonkeyPatch, engine: Engine, clusters: int, k: int
) -> None:
    monkeypatch.setattr(nearest_module, "GALLERY_CHUNK", 50)
    monkeypatch.setattr(nearest_module, "QUERY_CHUNK", 16)
    queries, gallery = drawn(40, 0, clusters), drawn(331, 1, clusters)
    whole = queries.astype(np.float64) @ gallery.astype(np.float64).T
    rows = np.argsort(-whole, axis=1, kind="stable")[:, :k]
    neighbours = nearest(queries, gallery, k, engine)
    np.testing.assert_array_equal(neighbours.rows, rows)
    np.testing.assert_allclose(neighbours.similarities, np.take_along_axis(whole, rows, 1), atol=1e-6)


def test_of_equals_the_earlier_row_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_module, "GALLERY_CHUNK", 8)
    monkeypatch.setattr(nearest_module, "FIRST_CHUNK", 4)
    gallery = np.tile(np.eye(3, dtype=np.float32), (20, 1))
    neighbours = nearest(np.eye(3, dtype=np.float32), gallery, 5)
    assert neighbours.rows.tolist() == [[n, n + 3, n + 6, n + 9, n + 12] for n in range(3)]


def test_float16_vectors_are_compared_as_float32() -> None:
    queries, gallery = drawn(5, 0).astype(np.float16), drawn(50, 1).astype(np.float16)
    whole = queries.astype(np.float32) @ gallery.astype(np.float32).T
    neighbours = nearest(queries, gallery, 3)
    np.testing.assert_allclose(neighbours.similarities, -np.sort(-whole, axis=1)[:, :3], atol=1e-6)


def test_no_query_has_no_answer() -> None:
    assert nearest(np.empty((0, 24), np.float32), drawn(5, 0), 2).rows.shape == (0, 2)


@pytest.mark.parametrize("k", [0, 6])
def test_more_neighbours_than_there_are_images_are_refused(k: int) -> None:
    with pytest.raises(ConfigError, match=f"C28 k is {k}, but the gallery has 5 images"):
        nearest(drawn(2, 0), drawn(5, 1), k)


def test_faiss_is_used_from_a_size_on_and_only_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_module, "FAISS_FROM_PRODUCTS", 100)
    monkeypatch.setattr(nearest_module, "_by_faiss", lambda *_: pytest.fail("faiss was asked"))
    nearest(drawn(9, 0), drawn(11, 1), 2)
    with pytest.raises(pytest.fail.Exception):
        nearest(drawn(10, 0), drawn(11, 1), 2)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    nearest(drawn(10, 0), drawn(11, 1), 2)
    with pytest.raises(ConfigError, match=r"C24 faiss is not installed"):
        nearest(drawn(9, 0), drawn(11, 1), 2, "faiss")
