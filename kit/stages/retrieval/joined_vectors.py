"""Embeddings of several runs as one: joined, and reduced by PCA if requested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kit.errors import ConfigError


@dataclass(frozen=True)
class FittedReduction:
    """A reduction with fitted directions."""

    pca: Any = None

    def apply(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Returns unit vectors float32 of the rows of several runs; zeros for rows without a vector in any run."""
        vectors = join_vectors(parts)
        if self.pca is None or not len(vectors):
            return vectors
        reduced = _to_unit_length(self.pca.transform(vectors).astype(np.float32))
        reduced[~vectors.any(axis=1)] = 0
        return reduced


@dataclass(frozen=True)
class Reduction:
    """PCA to `components` numbers; `whiten` gives each the same variance. Without components nothing is reduced."""

    components: int | None = None
    whiten: bool = False

    def fit(self, parts: Sequence[np.ndarray]) -> FittedReduction:
        """Fits the directions on vectors of several runs, (rows, features) each, in the same order of rows.

        Raises ConfigError C28 for more components than rows or features.
        """
        if self.components is None:
            return FittedReduction()
        from sklearn.decomposition import PCA

        vectors = join_vectors(parts)
        if self.components > min(vectors.shape):
            raise ConfigError(
                f"--pca {self.components}, but there are {vectors.shape[0]} vectors of {vectors.shape[1]} numbers",
                code="C28",
                hint=f"--pca {min(vectors.shape)} or less",
            )
        return FittedReduction(PCA(self.components, whiten=self.whiten, random_state=0).fit(vectors))


NO_REDUCTION = Reduction()


def join_vectors(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Returns concatenated vectors of unit length: their cosine is the mean of the parts' cosines."""
    return _to_unit_length(np.concatenate([np.asarray(part, np.float32) for part in parts], axis=1))


def _to_unit_length(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0))
