"""Query expansion: searches again with a query and its results."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from kit.core.nearest import Neighbours, Search
from kit.kinds import Reranker
from kit.plugins.reranker._directions import directions


class QueryExpansion(Reranker):
    """Searches with the sum of a query and its `neighbours_averaged` nearest images, weighted by cosine^`alpha`.

    Source: Radenovic, Tolias and Chum 2019, "Fine-tuning CNN Image Retrieval with No Human Annotation", section 3.4
    (alpha-weighted query expansion); alpha 0 is the mean of Chum et al. 2007.
    """

    neighbours_averaged: int = Field(5, ge=1, description="number of images added to the query")
    alpha: float = Field(3.0, ge=0, description="exponent of their cosines; 0 weighs all equally")

    def search(self, queries: np.ndarray, gallery: np.ndarray, k: int, inner: Search) -> Neighbours:
        neighbours = inner(queries, gallery, min(self.neighbours_averaged, len(gallery)))
        weights = np.maximum(neighbours.similarities, 0) ** np.float32(self.alpha)
        return inner(directions(queries, gallery, neighbours.rows, weights), gallery, k)
