"""The base of ensemblers that learn from the members' logits, for the classes of the fitted rows."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities
from kit.kinds import Ensembler

MIN_PROBABILITY = 1e-7  # smaller probabilities count as this one


class LogitStacking(Ensembler):
    """The base: `shares` gives the fitted classes' probabilities.

    A class that was not fitted keeps the members' mean.
    """

    fitted: ClassVar[bool] = True

    classes: tuple[int, ...] = Field((), description="fitted, do not set: class numbers of the fitted rows")

    def shares(self, members: Probabilities) -> Probabilities:
        """Returns probabilities (N, fitted classes) of members (M, N, K)."""
        raise NotImplementedError

    def blend(self, members: Probabilities) -> Probabilities:
        mean: np.ndarray = members.mean(axis=0, dtype=np.float64)
        mean /= mean.sum(axis=1, keepdims=True)
        if not self.classes:
            return mean
        classes = list(self.classes)
        mean[:, classes] = self.shares(members) * mean[:, classes].sum(axis=1, keepdims=True)
        mean /= mean.sum(axis=1, keepdims=True)
        return mean


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turns logits (N, K) into probabilities (N, K)."""
    shares: np.ndarray = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def log_probability_features(members: Probabilities) -> np.ndarray:
    """Returns centred log probabilities of members (M, N, K), float64 (N, M * K)."""
    count, rows, classes = members.shape
    features = np.empty((rows, count, classes))
    for number, member in enumerate(members):
        logs = np.log(np.maximum(member, MIN_PROBABILITY, dtype=np.float64))
        features[:, number] = logs - logs.mean(axis=1, keepdims=True)
    return features.reshape(rows, count * classes)
