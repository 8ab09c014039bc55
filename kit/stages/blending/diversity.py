"""Diversity: the similarity of members, the overlap of their errors, and the gain of each in the blend."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kit.evaluation import bootstrap
from kit.evaluation.bootstrap import Gain, gain
from kit.evaluation.crossfit import cross_fit
from kit.kinds import Ensembler, Metric
from kit.kinds.decision import Decision
from kit.stages.blending.members import OutOfFold

BLOCK_ROWS = 4096  # at a time


@dataclass(frozen=True, eq=False)
class Diversity:
    """The diversity of M members on the rows that all predict out of fold.

    `correlation` (M, M) is Pearson's correlation of all their probabilities. `overlap` (M, M) is the number
    of rows that both predict wrongly, divided by the number that either does: 1 if errors are the same, 0 if
    the members never err on the same row. For numbers and soft targets it is Pearson's correlation of the
    errors. `gains` are the blend's nested-score gains by each member over the blend without it; empty for a
    single member.
    """

    names: tuple[str, ...]
    metric: str
    scores: tuple[float, ...]
    correlation: np.ndarray
    overlap: np.ndarray
    ensembler: str
    score: float
    gains: tuple[Gain, ...]
    rows: int

    def as_json(self) -> dict[str, Any]:
        """Returns all of it as JSON values."""
        return {
            "members": list(self.names),
            "metric": self.metric,
            "scores": list(self.scores),
            "correlation": self.correlation.tolist(),
            "overlap": self.overlap.tolist(),
            "ensembler": self.ensembler,
            "score": self.score,
            "gains": [asdict(gain) for gain in self.gains],
            "rows": self.rows,
        }


def measure_diversity(rows: OutOfFold, recipe: Ensembler, metric: Metric) -> Diversity:
    """Returns the diversity of the members. The gain of each is measured by leaving it out of the recipe."""
    count = len(rows.names)
    blends = [_honest(recipe, rows, range(count))]
    if count > 1:
        blends += [_honest(recipe, rows, [n for n in range(count) if n != left]) for left in range(count)]
    scores = [metric.score(rows.truth, blend) for blend in blends]
    draws = bootstrap.resample_scores(metric, rows.truth, blends, rows.groups)
    gains = tuple(
        gain(metric, f"without {name}", scores[0], scores[index], draws[:, 0], draws[:, index])
        for index, name in enumerate(rows.names, 1)
        if count > 1
    )
    return Diversity(
        names=rows.names,
        metric=metric.plugin_name(),
        scores=tuple(metric.score(rows.truth, blend) for blend in rows.members),
        correlation=correlation(rows.members),
        overlap=_overlap_of_errors(rows, metric.decision),
        ensembler=recipe.plugin_name(),
        score=scores[0],
        gains=gains,
        rows=len(rows.ids),
    )


def _honest(recipe: Ensembler, rows: OutOfFold, which: range | list[int]) -> np.ndarray:
    """Returns the cross-fitted blend of some of the members."""
    members = rows.members if len(which) == len(rows.members) else rows.members[list(which)]
    if not recipe.needs_fit():
        return recipe.blend_rows(members)
    return cross_fit(recipe, members, rows.truth, rows.folds, rows.row_clusters())[0]


def correlation(members: np.ndarray) -> np.ndarray:
    """Returns Pearson's correlation (M, M) of the probabilities of members (M, N, K), 0 for a constant member."""
    count, rows = members.shape[:2]
    flat = members.reshape(count, -1)
    means = flat.mean(axis=1, dtype=np.float64)[:, None]
    products = np.zeros((count, count))
    block = BLOCK_ROWS * members.shape[2]
    for start in range(0, rows * members.shape[2], block):
        part = flat[:, start : start + block] - means
        products += part @ part.T
    norms = np.sqrt(products.diagonal())
    varies = norms > 0
    scale = np.where(varies, norms, 1)
    correlations = np.clip(products / scale / scale[:, None], -1, 1)
    np.fill_diagonal(correlations, 1)
    return correlations


def _overlap_of_errors(rows: OutOfFold, decision: Decision) -> np.ndarray:
    """Returns the overlap of wrong rows, (M, M); for numbers and soft targets Pearson's correlation of the errors."""
    if rows.table.target.has_decisions:
        return overlap(error_matrix(rows.members, rows.truth, decision))
    scale = np.maximum(rows.truth.std(axis=0), 1e-300)
    return correlation((rows.members - rows.truth) / scale)


def error_matrix(members: np.ndarray, truth: np.ndarray, decision: Decision) -> np.ndarray:
    """Returns whether each member predicts each row wrongly, bool (M, N): its most probable class is not the true one.

    If a row may have several labels, it is whether the decision rule assigns or omits any label wrongly.
    """
    if truth.ndim == 1:
        return np.stack([member.argmax(axis=1) != truth for member in members])
    return np.stack(
        [(decision.assign_labels(member) != truth.astype(bool)).any(axis=1) for member in members]
    )


def overlap(errors: np.ndarray) -> np.ndarray:
    """Returns the share of rows that both of two members predict wrongly, of those that either does, (M, M).

    It is 1 if neither errs.
    """
    wrong = errors.astype(np.float64)
    both = wrong @ wrong.T
    counts = wrong.sum(axis=1)
    either = counts[:, None] + counts - both
    return np.where(either > 0, both / np.where(either > 0, either, 1), 1.0)
