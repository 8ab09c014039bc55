"""GAP: micro average precision of all predictions of all rows, ordered by confidence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.errors import InvalidError
from kit.kinds import Metric
from kit.plugins.metric._class_options import check_names, class_numbers
from kit.plugins.metric._multi_label import one_against_rest


class GlobalAveragePrecision(Metric):
    """Global average precision (micro AP): precision at each right prediction of all rows in one order, averaged.

    The `k` most probable classes of each row are its predictions, and all rows' predictions are sorted by probability.
    The sum of the precision at each right prediction is divided by the number of labels. Equal probabilities are taken
    together, so the order of rows does not matter. Rows of the class `without` have no label, and any prediction for
    them is wrong. Raises InvalidError if no row has a label.

    Source: Google Landmark Recognition 2020 (k 1); Perronnin, Liu and Renders 2009, "A Family of Contextual Measures of
    Similarity between Distributions with Application to Image Retrieval". With k 20 and several labels: YouTube-8M.
    """

    label_kinds = ("class_index", "multi_hot")
    limits = (0, 1)
    wants = ("classes",)

    k: int = Field(1, ge=1, description="predictions per row")
    without: str | None = Field(None, description="the class of rows without a label, such as non-landmarks")

    def check_context(self) -> None:
        if self.without is not None:
            check_names([self.without], self.context.classes, "without")

    def score(self, truth: Targets, probabilities: Probabilities) -> float:
        return self.score_by_weights(truth, probabilities)(np.ones(len(truth)))

    def score_by_weights(self, truth: Targets, probabilities: Probabilities) -> Callable[[np.ndarray], float]:
        hot = one_against_rest(truth, probabilities.shape[1]).astype(np.float64)
        if self.without is not None:
            hot[:, class_numbers([self.without], self.context.classes)] = 0
        labels = hot.sum(axis=1)
        rows, shares, right = self._predictions(probabilities, hot)
        order = np.argsort(-shares, kind="stable")
        rows, shares, right = rows[order], shares[order], right[order]
        starts = np.flatnonzero(np.concatenate([[True], shares[1:] != shares[:-1]]))

        def score(weights: np.ndarray) -> float:
            by_rank = weights[rows].astype(np.float64)
            hits = np.add.reduceat(by_rank * right, starts)
            seen, total = np.add.reduceat(by_rank, starts).cumsum(), float(weights @ labels)
            if not total:
                raise InvalidError("GAP needs rows with a label", code="D45")
            return min(float((hits * hits.cumsum() / np.where(seen > 0, seen, 1)).sum() / total), 1.0)

        return score

    def _predictions(
        self, probabilities: Probabilities, hot: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns row, probability and correctness of the k most probable classes of each row, (N * k,)."""
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, : self.k]
        rows = np.repeat(np.arange(len(best)), best.shape[1])
        numbers = best.ravel()
        return rows, probabilities[rows, numbers], hot[rows, numbers]
