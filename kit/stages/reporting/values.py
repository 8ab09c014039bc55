"""Values: how well a member predicts each column of numbers or shares, and the distribution of its errors."""

from __future__ import annotations

import numpy as np

from kit.data.table import Table
from kit.stages.reporting.row_facts import ColumnScore

MAX_POINTS = 300  # of a scatter; more cannot be seen
ERROR_BINS = 21


def score_columns(table: Table, predictions: np.ndarray) -> tuple[ColumnScore, ...]:
    """Returns each column's errors, points of a scatter plot, and the counts of its errors in equal bins around 0."""
    truth, given = table.targets().astype(np.float64), np.asarray(predictions, dtype=np.float64)
    some = ~table.target.find_missing(table.targets())
    return tuple(
        score_column(name, truth[some[:, at], at], given[some[:, at], at])
        for at, name in enumerate(table.classes)
        if some[:, at].any()
    )


def score_column(name: str, truth: np.ndarray, given: np.ndarray) -> ColumnScore:
    """Returns the errors of one column of numbers (N,)."""
    errors = given - truth
    reach = float(np.abs(errors).max(initial=0)) or 1.0
    counts, _ = np.histogram(errors, bins=ERROR_BINS, range=(-reach, reach))
    variance = float(truth.var())
    rows = np.unique(np.linspace(0, len(truth) - 1, min(len(truth), MAX_POINTS)).astype(int))
    return ColumnScore(
        name=name,
        rmse=float(np.sqrt((errors**2).mean())),
        mae=float(np.abs(errors).mean()),
        bias=float(errors.mean()),
        r2=float(1 - (errors**2).mean() / variance) if variance > 0 else None,
        points=tuple(zip(truth[rows].tolist(), given[rows].tolist(), strict=True)),
        errors=tuple(counts.tolist()),
        reach=reach,
    )


def find_costs(table: Table, predictions: np.ndarray) -> np.ndarray:
    """Returns the mean over columns of each row's absolute error, in units of the column's standard deviation, (N,).

    A missing label counts 0.
    """
    truth = table.targets()
    scale = np.maximum(np.nanstd(truth, axis=0), 1e-300)
    errors = np.where(table.target.find_missing(truth), 0, np.abs(predictions - truth) / scale)
    return np.asarray(errors.mean(axis=1))
