"""PairClassifier: predicts from two vectors if the images show the same class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from kit.core.arrays import Probabilities, Targets
from kit.core.files import parse_json

FEATURES = (
    "cosine",
    "mean difference",
    "largest difference",
    "spread of differences",
)  # of each set of vectors
STRENGTH = 1.0  # inverse of the L2 penalty on standardised features
CHUNK_PAIRS = 8_192  # pairs


def pair_features(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns features (pairs, 4) float64 of unit vectors (pairs, D), independent of the order of the two."""
    features = np.empty((len(one), len(FEATURES)))
    for start in range(0, len(one), CHUNK_PAIRS):
        part = slice(start, start + CHUNK_PAIRS)
        first, second = one[part].astype(np.float32), other[part].astype(np.float32)
        apart = np.abs(first - second) * np.sqrt(first.shape[1])  # equally for vectors of any length
        features[part, 0] = np.einsum("ij,ij->i", first, second)
        features[part, 1], features[part, 2], features[part, 3] = (
            apart.mean(axis=1),
            apart.max(axis=1),
            apart.std(axis=1),
        )
    return features


@dataclass(frozen=True)
class PairClassifier:
    """A logistic regression of `same` on standardised features, which can be stored as JSON.

    Source: Cox 1958, "The Regression Analysis of Binary Sequences"; on differences of faces' features, Sun et al. 2014,
    "Deep Learning Face Representation by Joint Identification-Verification".
    """

    centre: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    intercept: float = 0.0

    def fit(self, members: Any, truth: Targets) -> Self:
        """Fits on features (pairs, F), as `members[0]`, and whether each pair is the same (pairs,)."""
        from sklearn.linear_model import LogisticRegression

        given = np.asarray(members)[0]
        centre, scale = given.mean(axis=0), given.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        model = LogisticRegression(C=STRENGTH, max_iter=1000).fit((given - centre) / scale, truth)
        return type(self)(
            tuple(centre.tolist()),
            tuple(scale.tolist()),
            tuple(model.coef_[0].tolist()),
            float(model.intercept_[0]),
        )

    def logits(self, given: np.ndarray) -> np.ndarray:
        """Returns log(p / (1 - p)) of pairs by their features (pairs, F), (pairs,) float64."""
        logits: np.ndarray = (given - self.centre) / self.scale @ np.asarray(self.weights) + self.intercept
        return logits

    def blend(self, members: Any) -> np.ndarray:
        """Returns probabilities (pairs, 2) of another class and of the same."""
        same = sigmoid(self.logits(np.asarray(members)[0]))
        return np.stack([1 - same, same], axis=1)

    def spec(self) -> dict[str, Any]:
        """Returns the regression as JSON values."""
        return {
            "centre": list(self.centre),
            "scale": list(self.scale),
            "weights": list(self.weights),
            "intercept": self.intercept,
        }

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Self:
        """Reads the values of `spec`. Raises ValueError, KeyError or TypeError for anything else."""
        centre, scale, weights = (tuple(map(float, spec[name])) for name in ("centre", "scale", "weights"))
        if not len(centre) == len(scale) == len(weights):
            raise ValueError("centre, scale and weights differ in length")
        return cls(centre, scale, weights, float(spec["intercept"]))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Returns 1 / (1 + exp(-x)) without overflow."""
    probabilities: np.ndarray = np.exp(-np.logaddexp(0, -logits))
    return probabilities


def read_pair_classifiers(text: str) -> dict[str, PairClassifier]:
    """Reads the pair classifiers from a file that `kit pairs` wrote, by fold number and `test`.

    Raises as `PairClassifier.of`.
    """
    return {str(name): PairClassifier.of(spec) for name, spec in dict(parse_json(text))["judges"].items()}


def adjust_for_prior(probabilities: Probabilities, drawn_share: float, share: float) -> np.ndarray:
    """Returns probabilities of pairs of which a `share` is the same, if the fitted pairs had the share `drawn_share`.

    Source: Saerens, Latinne and Decaestecker 2002, "Adjusting the Outputs of a Classifier to New a Priori
    Probabilities", equation 4.
    """
    same = probabilities * share / drawn_share
    other = (1 - probabilities) * (1 - share) / (1 - drawn_share)
    adjusted: np.ndarray = same / (same + other)
    return adjusted


def best_threshold(probabilities: Probabilities, same: np.ndarray) -> tuple[float, float]:
    """Returns the probability threshold for "same" with the best F1, and that F1.

    Of equal thresholds the highest is returned.
    """
    order = np.argsort(-probabilities, kind="stable")
    hits = np.cumsum(same[order])
    scores = 2 * hits / (np.arange(1, len(order) + 1) + same.sum())
    last = np.append(np.diff(probabilities[order]) != 0, True)  # equal probabilities have equal decisions
    best = int(np.argmax(np.where(last, scores, -1)))
    return float(probabilities[order[best]]), float(scores[best])


def curve(probabilities: Probabilities, same: np.ndarray, points: int = 101) -> Sequence[Mapping[str, float]]:
    """Returns precision, recall and threshold at evenly spaced quantiles of the probabilities, the highest first."""
    curve_points = []
    for threshold in np.unique(np.quantile(probabilities, np.linspace(0, 1, points)))[::-1]:
        predicted = probabilities >= threshold
        hits = float((predicted & same.astype(bool)).sum())
        curve_points.append(
            {
                "threshold": float(threshold),
                "precision": hits / predicted.sum(),
                "recall": hits / max(same.sum(), 1),
            }
        )
    return curve_points
