"""Pairs: sorts the nearest images again, by the probability that each has the query's class."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import Field

from kit.core.nearest import Neighbours, Search
from kit.errors import ConfigError
from kit.evaluation.pair_classifier import PairClassifier, pair_features, read_pair_classifiers
from kit.kinds import Reranker, bound_field


class Pairs(Reranker):
    """Sorts the `top_k` nearest images by the probability of the same class, which `kit pairs` has learned.

    A held-out row's neighbours are scored by the classifier of the other folds. Similarities become
    probabilities.

    Source: Nogueira and Cho 2019, "Passage Re-ranking with BERT": a cheap search, then a classifier of pairs.
    """

    model: str = Field("", description="file of kit pairs, such as runs/r/pairs/plain.json")
    top_k: int = Field(50, ge=1, description="number of nearest images to classify")

    home: Path | None = bound_field(None)
    fold: int | None = bound_field(None)

    def input_files(self) -> tuple[Path, ...]:
        return ((self.home or Path()) / self.model,) if self.model else ()

    def in_workspace(self, home: Path | None) -> Self:
        return self.model_copy(update={"home": home})

    def of_fold(self, fold: int | None) -> Self:
        return self.model_copy(update={"fold": fold})

    def search(self, queries: np.ndarray, gallery: np.ndarray, k: int, inner: Search) -> Neighbours:
        neighbours = inner(queries, gallery, min(max(self.top_k, k), len(gallery)))
        classifier = self._classifier()
        if classifier is None:
            return Neighbours(neighbours.similarities[:, :k], neighbours.rows[:, :k])
        wide = neighbours.rows.shape[1]
        given = pair_features(np.repeat(queries, wide, axis=0), gallery[neighbours.rows.ravel()])
        probabilities = classifier.blend(given[None])[:, 1].reshape(neighbours.rows.shape).astype(np.float32)
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
        return Neighbours(
            np.take_along_axis(probabilities, order, axis=1),
            np.take_along_axis(neighbours.rows, order, axis=1),
        )

    def _classifier(self) -> PairClassifier | None:
        """Returns the classifier of the other folds. Without a model it is None, and the order stays."""
        if not self.model:
            return None
        classifiers = _read(self.input_files()[0])
        name = "test" if self.fold is None else str(self.fold)
        if name not in classifiers:
            raise ConfigError(
                f"{self.model} has nothing for fold {name}",
                code="C07",
                hint="kit pairs again, with all folds embedded",
            )
        return classifiers[name]


@lru_cache(maxsize=8)
def _read(file: Path) -> dict[str, PairClassifier]:
    try:
        return read_pair_classifiers(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{file} is no file of kit pairs: {str(error).splitlines()[0]}",
            code="C07",
            hint="kit pairs runs/r",
        ) from None
