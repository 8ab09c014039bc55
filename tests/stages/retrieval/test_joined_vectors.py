"""Joined embeddings compare images as the mean of their cosines, and PCA is scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from kit.errors import ConfigError
from kit.stages.retrieval.joined_vectors import Reduction, join_vectors


def unit(rows: int, features: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, features)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def test_the_cosine_of_joined_vectors_is_the_mean_of_their_cosines() -> None:
    one, other = unit(6, 4, 0), unit(6, 7, 1)
    joined = join_vectors([one, other])
    np.testing.assert_allclose(joined @ joined.T, (one @ one.T + other @ other.T) / 2, atol=1e-6)


@pytest.mark.parametrize("whiten", [False, True])
def test_pca_is_fitted_on_training_rows_and_rows_without_an_image_stay_zero(whiten: bool) -> None:
    train, test = [unit(20, 5, 0), unit(20, 3, 1)], [unit(4, 5, 2), unit(4, 3, 3)]
    for part in test:
        part[1] = 0
    vectors = Reduction(3, whiten).fit(train).apply(test)
    theirs = PCA(3, whiten=whiten, random_state=0).fit(join_vectors(train)).transform(join_vectors(test))
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors[[0, 2, 3]], theirs[[0, 2, 3]], atol=1e-5)
    assert not vectors[1].any()


def test_more_components_than_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match="C28 --pca 9, but there are 20 vectors of 8 numbers"):
        Reduction(9).fit([unit(20, 5, 0), unit(20, 3, 1)])
