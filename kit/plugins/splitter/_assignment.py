"""Assigns rows to k folds as scikit-learn does, with identical results, without its import time of a second."""

from __future__ import annotations

import numpy as np


def assign_to_folds(rows: int, folds: int, seed: int) -> np.ndarray:
    """Returns the fold of each row, int64 (rows, 1): equally large random parts.

    Source: sklearn.model_selection.KFold(folds, shuffle=True, random_state=seed).
    """
    order = np.arange(rows)
    np.random.RandomState(seed).shuffle(order)
    numbers = np.empty((rows, 1), np.int64)
    for fold, part in enumerate(np.array_split(order, folds)):
        numbers[part, 0] = fold
    return numbers


def assign_by_class(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Returns the fold of each row, int64 (rows, 1): random parts that have each class in the share that it
    has in all rows.

    Source: sklearn.model_selection.StratifiedKFold(folds, shuffle=True, random_state=seed).
    """
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    order_of_class = first.argsort().argsort()[inverse]  # classes in the order in which they appear
    by_class = np.sort(order_of_class)
    shares = np.array([np.bincount(by_class[fold::folds], minlength=len(first)) for fold in range(folds)])
    generator, numbers = np.random.RandomState(seed), np.empty((len(labels), 1), np.int64)
    for number in range(len(first)):
        numbers_of_class = np.arange(folds).repeat(shares[:, number])
        generator.shuffle(numbers_of_class)
        numbers[order_of_class == number, 0] = numbers_of_class
    return numbers
