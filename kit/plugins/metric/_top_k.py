"""Ranks of classes in a row: the most probable one has rank 1."""

from __future__ import annotations

import numpy as np

from kit.core.arrays import Probabilities, Targets


def true_ranks(truth: Targets, probabilities: Probabilities) -> np.ndarray:
    """Returns the rank of each row's true class, (N,). Of equal probabilities the first class ranks first."""
    own = np.take_along_axis(probabilities, truth[:, None], axis=1)
    earlier = (probabilities == own) & (np.arange(probabilities.shape[1]) < truth[:, None])
    ranks: np.ndarray = 1 + (probabilities > own).sum(axis=1) + earlier.sum(axis=1)
    return ranks
