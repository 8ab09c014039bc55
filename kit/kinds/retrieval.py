"""Neighbours, and the two kinds of plugin that predict from similar images. kit.kinds lists them."""

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
    """The k nearest training images of N rows, the nearest first, and a classifier's predictions of the rows."""

    similarities: np.ndarray  # (N, k) float32, cosines unless a reranker changes them
    labels: np.ndarray  # (N, k) int64
    classes: int
    probabilities: Probabilities | None = None  # (N, K) float32, of the same run's classifier
    # (N, k, K) float64, the images' numbers or shares; if they have some, labels are all 0
    values: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> Self:
        """Returns the rows at these positions or in this mask."""
        shares = None if self.probabilities is None else self.probabilities[rows]
        return replace(
            self,
            similarities=self.similarities[rows],
            labels=self.labels[rows],
            probabilities=shares,
            values=None if self.values is None else self.values[rows],
        )

    def top_k(self, k: int) -> Self:
        """Returns the k nearest of each row."""
        values = None if self.values is None else self.values[:, :k]
        return replace(self, similarities=self.similarities[:, :k], labels=self.labels[:, :k], values=values)


class Scorer(Plugin):
    """Turns the nearest training images into probabilities of the classes."""

    kind: ClassVar[str] = "scorer"
    fitted: ClassVar[bool] = False  # True: fit learns from the truth, so its scores are cross-fitted
    takes_probabilities: ClassVar[bool] = (
        False  # True: it joins the classifier's predictions with those of the neighbours
    )

    def neighbours(self) -> int:
        """Returns how many neighbours it uses."""
        raise NotImplementedError

    def classes_to_ignore(self) -> tuple[str, ...]:
        """Returns classes whose rows stay out of the gallery, such as the class for "none of the others"."""
        return ()

    def with_classes(self, classes: Classes) -> Self:
        """Returns the same recipe with the competition's classes."""
        names = [name for name, field in type(self).model_fields.items() if is_bound(field)]
        return self.model_copy(update={name: getattr(classes, name) for name in names})

    def fit(self, near: RetrievedNeighbours, truth: Targets) -> Self:
        """Fits on out-of-fold rows' neighbours and truth (N,), and returns the result. Default: self."""
        return self

    def score(self, near: RetrievedNeighbours) -> np.ndarray:
        """Returns probabilities (N, K). Each row sums to 1."""
        raise NotImplementedError


class Reranker(Plugin):
    """Replaces or refines the plain search by cosine similarity."""

    kind: ClassVar[str] = "reranker"

    def search(self, queries: np.ndarray, gallery: np.ndarray, k: int, inner: Search) -> Neighbours:
        """Returns the k nearest rows of `gallery` (G, D) for `queries` (Q, D), unit vectors, found with `inner`."""
        raise NotImplementedError

    def in_workspace(self, home: Path | None) -> Self:
        """Returns the same recipe in a workspace, which relative paths in options start from."""
        return self

    def of_fold(self, fold: int | None) -> Self:
        """Returns the recipe for rows that a fold held out, or for test rows.

        It must not have learned from these rows.
        """
        return self
