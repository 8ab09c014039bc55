"""Neighbours, and the two kinds of plugin that answer with the most similar image; kit.kinds lists them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from kit.kinds.plugin import Plugin, is_bound

if TYPE_CHECKING:
    import numpy as np

    from kit.core.arrays import Probabilities, Targets
    from kit.core.nearest import Neighbours, Search
    from kit.kinds.classes import Classes


@dataclass(frozen=True, eq=False)
class RetrievedNeighbours:
    """The k nearest training images of N rows, the nearest first, and what a classifier says of the rows."""

    similarities: np.ndarray  # (N, k) float32, cosines unless a reranker makes them something else
    labels: np.ndarray  # (N, k) int64
    classes: int
    probabilities: Probabilities | None = None  # (N, K) float32, of the same run's classifier

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> Self:
        """The rows at these positions, or where a mask is true."""
        shares = None if self.probabilities is None else self.probabilities[rows]
        return replace(
            self, similarities=self.similarities[rows], labels=self.labels[rows], probabilities=shares
        )

    def top_k(self, k: int) -> Self:
        """The k nearest of each row."""
        return replace(self, similarities=self.similarities[:, :k], labels=self.labels[:, :k])


class Scorer(Plugin):
    """Turns the nearest training images into probabilities of the classes."""

    kind: ClassVar[str] = "scorer"
    fitted: ClassVar[bool] = False  # True: fit learns from the truth, so its scores are cross-fitted
    takes_probabilities: ClassVar[bool] = (
        False  # True: it joins the classifier's with those of the neighbours
    )

    def neighbours(self) -> int:
        """How many neighbours it uses."""
        raise NotImplementedError

    def classes_to_ignore(self) -> tuple[str, ...]:
        """Classes whose rows are in no gallery, such as one that stands for none of the others."""
        return ()

    def with_classes(self, classes: Classes) -> Self:
        """The same recipe, knowing the competition's classes."""
        names = [name for name, field in type(self).model_fields.items() if is_bound(field)]
        return self.model_copy(update={name: getattr(classes, name) for name in names})

    def fit(self, near: RetrievedNeighbours, truth: Targets) -> Self:
        """The scorer fitted on out-of-fold rows' neighbours and truth (N,). Default: self."""
        return self

    def score(self, near: RetrievedNeighbours) -> np.ndarray:
        """Probabilities (N, K). Each row sums to 1."""
        raise NotImplementedError


class Reranker(Plugin):
    """Searches otherwise than by one plain comparison."""

    kind: ClassVar[str] = "reranker"

    def search(self, queries: np.ndarray, gallery: np.ndarray, k: int, inner: Search) -> Neighbours:
        """The k nearest rows of `gallery` (G, D) for `queries` (Q, D), unit vectors, found with `inner`."""
        raise NotImplementedError

    def in_workspace(self, home: Path | None) -> Self:
        """The same recipe, in a workspace: options that are relative paths begin there."""
        return self

    def of_fold(self, fold: int | None) -> Self:
        """The same recipe for rows that a fold held out, or for test rows: what it learned must not know the rows."""
        return self
