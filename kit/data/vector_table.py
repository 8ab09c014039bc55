"""VectorTable: cached vectors of a table's rows, joined over several sources and gathered in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from kit.data.embeddings import Vectors

CHUNK_ROWS = 65_536  # rows per chunk of the statistics


@dataclass(frozen=True, eq=False)
class VectorTable:
    """Vectors of the rows of a table, in its order.

    Each part is a map of vectors and the vector's row for each table row.
    """

    parts: tuple[tuple[np.ndarray, np.ndarray], ...]  # (any, features) float16 and (rows,) int64

    @classmethod
    def of(cls, sources: Sequence[Vectors], ids: np.ndarray) -> Self:
        """Returns the vectors of these ids, (rows,), which each source must have. Raises KeyError for a missing id."""
        parts = []
        for source in sources:
            at = {name: row for row, name in enumerate(source.ids.tolist())}
            parts.append((source.vectors, np.array([at[name] for name in ids.tolist()], np.int64)))
        return cls(tuple(parts))

    def __len__(self) -> int:
        return len(self.parts[0][1])

    @property
    def features(self) -> int:
        """The size of a row's vector."""
        return sum(int(vectors.shape[1]) for vectors, _ in self.parts)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Returns the vectors of rows (N,), concatenated over the sources: (N, features) float32."""
        vectors_by_part = [np.asarray(vectors[at[rows]], np.float32) for vectors, at in self.parts]
        return vectors_by_part[0] if len(vectors_by_part) == 1 else np.concatenate(vectors_by_part, axis=1)

    def has_vector(self) -> np.ndarray:
        """Returns which rows have an image, bool (rows,): the vector of a row without one is zero."""
        has_vector = np.zeros(len(self), bool)
        for start in range(0, len(self), CHUNK_ROWS):
            rows = np.arange(start, min(start + CHUNK_ROWS, len(self)))
            has_vector[rows] = self.gather(rows).any(axis=1)
        return has_vector

    def statistics(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and standard deviation (features,) of the vectors of rows; a constant feature has the
        deviation 1.
        """
        total, squares = np.zeros(self.features), np.zeros(self.features)
        for start in range(0, len(rows), CHUNK_ROWS):
            part = self.gather(rows[start : start + CHUNK_ROWS]).astype(np.float64)
            total += part.sum(axis=0)
            squares += (part**2).sum(axis=0)
        mean = total / max(len(rows), 1)
        deviation = np.sqrt(np.maximum(squares / max(len(rows), 1) - mean**2, 0))
        return mean, np.where(deviation > 1e-6, deviation, 1.0)
