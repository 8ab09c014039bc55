"""Scores of answers that are images: ranked lists of similar images, or sets of those above a threshold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

THRESHOLDS_TRIED = 201  # thresholds, quantiles of the similarities


@dataclass(frozen=True, eq=False)
class RankedImages:
    """The nearest images of N queries, the nearest first, and which of them are correct."""

    similarities: np.ndarray  # (N, k) float32
    relevant: np.ndarray  # (N, k) bool
    wanted: np.ndarray  # (N,) int64: the number of relevant images of a query in the gallery

    def take(self, rows: np.ndarray) -> Self:
        """Returns the queries at these positions or in this mask."""
        return replace(
            self,
            similarities=self.similarities[rows],
            relevant=self.relevant[rows],
            wanted=self.wanted[rows],
        )


def mean_average_precision(ranked: RankedImages, k: int) -> float:
    """Returns mAP@k: the mean over queries of sum P(i) rel(i) / min(wanted, k); queries without a relevant
    image do not count.

    P(i) is the precision of the first i images. Source: Google Landmark Retrieval 2019-2021, evaluation page.
    """
    has_answers = ranked.wanted > 0
    relevant = ranked.relevant[has_answers, :k]
    precision = np.cumsum(relevant, axis=1) / np.arange(1, relevant.shape[1] + 1)
    scores = (precision * relevant).sum(axis=1) / np.minimum(ranked.wanted[has_answers], k)
    return float(scores.mean()) if len(scores) else float("nan")


@dataclass(frozen=True)
class SetRule:
    """Chooses a query's set from its nearest images: those of at least `threshold`, from `least` to `most` of them.

    `with_self`: the query is in the gallery and in its own set, as in Shopee Price Match Guarantee.
    """

    threshold: float = 0.5
    least: int = 1
    most: int = 50
    with_self: bool = True

    def count_images(self, similarities: np.ndarray) -> np.ndarray:
        """Returns how many of the nearest images (N, k) each set has in addition to the query itself, int64 (N,)."""
        own = int(self.with_self)
        counts = (similarities >= self.threshold).sum(axis=1)
        least, most = max(self.least - own, 0), min(self.most - own, similarities.shape[1])
        return np.asarray(np.clip(counts, least, most))

    def score_rows(self, ranked: RankedImages) -> np.ndarray:
        """Returns the F1 of each query's set, (N,)."""
        own = int(self.with_self)
        counts = self.count_images(ranked.similarities)
        hits = np.concatenate([np.zeros((len(counts), 1), int), np.cumsum(ranked.relevant, axis=1)], axis=1)
        right = hits[np.arange(len(counts)), counts] + own
        total = counts + own + ranked.wanted + own
        scores = np.zeros(len(counts))
        return np.asarray(np.divide(2 * right, total, out=scores, where=total > 0))

    def fit(self, ranked: RankedImages) -> Self:
        """Returns the rule with the threshold of the best mean F1; of equals the middle one."""
        values = np.unique(np.quantile(ranked.similarities, np.linspace(0, 1, THRESHOLDS_TRIED)))
        rules = [replace(self, threshold=float(value)) for value in values]
        scores = np.array([rule.score_rows(ranked).mean() for rule in rules])
        best = np.flatnonzero(scores == scores.max())
        return rules[int(best[len(best) // 2])]


def cross_fit_sets(rule: SetRule, ranked: RankedImages, folds: np.ndarray) -> tuple[float, SetRule]:
    """Returns the mean F1 of sets by thresholds fitted on other folds' queries, and the rule fitted on all.

    If there is only one fold, the threshold is scored on the queries that it was fitted on.
    """
    numbers = np.unique(folds)
    fitted = rule.fit(ranked)
    if len(numbers) < 2:
        return float(fitted.score_rows(ranked).mean()), fitted
    scores = np.empty(len(folds))
    for fold in numbers:
        held = folds == fold
        scores[held] = rule.fit(ranked.take(~held)).score_rows(ranked.take(held))
    return float(scores.mean()), fitted
