"""Scores: of each member, of the plain mean and of the blend, with what is shown by them and what is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kit.blending import bootstrap
from kit.blending.gains import Gain, gain, simplest
from kit.errors import InvalidError
from kit.kinds import Metric

MEAN, BLEND, BEST = "mean", "blend", "best member"


@dataclass(frozen=True, eq=False)
class Predicted:
    """Predictions of the out-of-fold rows (N, K) by one name; `fitted` ones know the rows that they predict."""

    name: str
    honest: np.ndarray
    fitted: np.ndarray


@dataclass(frozen=True)
class Score:
    """The metric of one member, the mean or the blend: pooled over all rows, and over each fold's rows.

    `cv` is of rows that nothing was fitted on, `in_sample` of the same rows after fitting on them: what it is above
    `cv` is flattery.
    """

    name: str
    cv: float
    folds: Mapping[int, float | None]  # None where a fold has no score, such as AUC of one class
    in_sample: float
    gains: tuple[Gain, ...] = ()  # over the best member, and over the plain mean


@dataclass(frozen=True)
class Comparison:
    """All scores; the simplest of the best member, the plain mean and the blend that nothing is shown to beat."""

    members: tuple[Score, ...]
    mean: Score
    blend: Score
    best: str  # the member with the best score of all
    recommended: str  # that member's name, MEAN or BLEND
    blend_is_mean: bool
    draws: int  # of the bootstrap
    by_groups: bool


def compared(
    metric: Metric, truth: np.ndarray, folds: np.ndarray, groups: np.ndarray | None,
    predicted: Sequence[Predicted], best: np.ndarray,
) -> Comparison:  # fmt: skip
    """The comparison of members, mean and blend, which come in this order.

    `best` (N, K) are predictions of the best member, chosen for each row on rows of other folds: the best of many
    equal members is so by chance, and would make every gain over it look small.
    """
    scores = [_score(metric, truth, folds, one) for one in predicted]
    drawn = bootstrap.scores(metric, truth, [*(one.honest for one in predicted), best], groups)
    values = [*(score.cv for score in scores), metric.score(truth, best)]
    *members, mean, blend, chosen = range(len(values))

    def over(place: int, base: int) -> Gain:
        name = {chosen: BEST, mean: MEAN}.get(base, "")
        return gain(metric, name, values[place], values[base], drawn[:, place], drawn[:, base])

    with_gains = [
        replace(score, gains=(over(place, chosen), over(place, mean))) for place, score in enumerate(scores)
    ]
    choices = (chosen, mean, blend)
    better = {(later, first): over(later, first).shown for later in choices for first in choices}
    sign = 1.0 if metric.higher_is_better else -1.0
    top = scores[max(members, key=lambda place: sign * values[place])].name
    return Comparison(
        members=tuple(with_gains[:-2]),
        mean=with_gains[mean],
        blend=with_gains[blend],
        best=top,
        recommended={chosen: top, mean: MEAN, blend: BLEND}[simplest(choices, better)],
        blend_is_mean=np.array_equal(predicted[mean].honest, predicted[blend].honest),
        draws=len(drawn),
        by_groups=groups is not None,
    )


def _score(metric: Metric, truth: np.ndarray, folds: np.ndarray, predicted: Predicted) -> Score:
    def of(rows: np.ndarray) -> float | None:
        try:
            return metric.score(truth[rows], predicted.honest[rows])
        except InvalidError:
            return None

    by_fold = {int(fold): of(folds == fold) for fold in np.unique(folds)}
    pooled = metric.score(truth, predicted.honest)
    alike = predicted.fitted is predicted.honest
    return Score(predicted.name, pooled, by_fold, pooled if alike else metric.score(truth, predicted.fitted))
