"""Folds whose held-out rows have no score by the metric, whatever is predicted."""

from __future__ import annotations

import warnings

import numpy as np

from kit.core.arrays import Probabilities
from kit.data.folds import Folds
from kit.data.table import Table
from kit.errors import InvalidError, KitWarning
from kit.evaluation.competition import bind_rows
from kit.kinds import Metric


def find_unscored_folds(metric: Metric, table: Table, folds: Folds) -> dict[int, str]:
    """Returns the folds without a score, and the reason in words.

    Such folds lack a label of some kind, so that neither a guess nor the labels themselves have a score. A table
    whose images share answers is not tried.
    """
    reason_of_fold: dict[int, str] = {}
    if table.answers is not None:
        return reason_of_fold
    for fold in range(folds.count):
        rows = np.flatnonzero(folds.oof_mask(fold))
        if not len(rows):
            continue
        held_out = table.take(rows)
        guess = table.target.guess(len(rows), len(table.classes))
        reasons = [_reason(metric, held_out, tried) for tried in (guess, _perfect(held_out, guess))]
        if all(reasons):
            reason_of_fold[fold] = reasons[0]
    return reason_of_fold


def warn_of_unscored_folds(metric: Metric, table: Table, folds: Folds) -> None:
    """Warns (W90) before training of folds that will have no score."""
    for fold, reason in find_unscored_folds(metric, table, folds).items():
        text = f"W90 fold {fold} will have no {metric.plugin_name()}: {reason}"
        warnings.warn(KitWarning(text), stacklevel=3)


def _reason(metric: Metric, rows: Table, predictions: Probabilities) -> str:
    try:
        bind_rows(metric, rows).score(rows.targets(), predictions)
    except InvalidError as error:
        return error.summary
    return ""


def _perfect(rows: Table, guess: np.ndarray) -> np.ndarray:
    """Returns the labels as predictions, and the guess where they are missing."""
    labels = rows.targets()
    if labels.ndim == 1:
        return np.asarray(np.eye(len(rows.classes), dtype=np.float32)[labels])
    return np.where(rows.target.find_missing(labels), guess, labels).astype(np.float32)
