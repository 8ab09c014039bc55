"""Database augmentation: replaces every training image by a mean of itself and its nearest images."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from kit.core.nearest import Neighbours, Search, nearest_excluding_self
from kit.kinds import Reranker
from kit.plugins.reranker._directions import directions


class DatabaseAugmentation(Reranker):
    """Searches sums of each training image and its nearest ones, with weights that decrease from 1 to 10^-`decay`.

    Source: Turcot and Lowe 2009, "Better matching with fewer features", in the form of Google Landmark Retrieval's
    winners, weights logspace(0, -1.5, 10).
    """

    neighbours_averaged: int = Field(
        10, ge=2, description="number of images in each sum, including the image itself"
    )
    decay: float = Field(1.5, ge=0, description="weight of the last image: 10^-decay")

    def search(self, queries: np.ndarray, gallery: np.ndarray, k: int, inner: Search) -> Neighbours:
        top = min(self.neighbours_averaged, len(gallery))
        rows = nearest_excluding_self(gallery, top - 1, inner).rows
        weights = np.logspace(0, -self.decay, self.neighbours_averaged, dtype=np.float32)[1:top]
        return inner(queries, directions(gallery, gallery, rows, np.broadcast_to(weights, rows.shape)), k)
