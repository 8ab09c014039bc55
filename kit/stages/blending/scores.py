"""Scores of each member, of the plain mean and of the blend, and which gains are significant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kit.errors import InvalidError
from kit.evaluation import bootstrap
from kit.evaluation.bootstrap import Gain, gain, simplest_not_worse
from kit.kinds import Ensembler, Metric

MEAN, BLEND, BEST = "mean", "blend", "best member"
EQUAL_WITHIN = 1e-6  # probabilities this close are equal, because float32 is rounded


@dataclass(frozen=True, eq=False)
class MemberPredictions:
    """Predictions of the out-of-fold rows (N, K) by one name.

    `in_sample` ones were fitted on the rows that they predict.
    """

    name: str
    cross_fitted: np.ndarray
    in_sample: np.ndarray


@dataclass(frozen=True)
class Score:
    """The metric of one member, the mean or the blend: pooled over all rows, and over each fold's rows.

    `cv` is on rows that nothing was fitted on, `in_sample` on the same rows after fitting on them. The
    difference is the optimism of `in_sample`.
    """

    name: str
    cv: float
    folds: Mapping[int, float | None]  # None if a fold has no score, such as AUC of one class
    in_sample: float
    gains: tuple[
        Gain, ...
    ] = ()  # over the best member, over the plain mean, over the member that is best on all rows


@dataclass(frozen=True)
class Comparison:
    """All scores, and the simplest of the best member, the plain mean and the blend that none of the others
    beats significantly.
    """

    members: tuple[Score, ...]
    mean: Score
    blend: Score
    best: str  # the member with the best score of all
    recommended: str  # that member's name, MEAN or BLEND
    blend_is_mean: bool
    draws: int  # of the bootstrap
    by_groups: bool
    sole: str | None = None  # the member that has all the weight, so that the blend is this member

    @property
    def claimed_gains(self) -> tuple[Gain, ...]:
        """The blend's gains over the best member and over the mean; without the latter if the blend is the mean."""
        return self.blend.gains[:1] if self.blend_is_mean else self.blend.gains[:2]

    def explain_sole(self) -> str:
        """Returns why a blend with all the weight on one member has no gain."""
        return f"all weight is on {self.sole}, so the blend equals this member and has no gain"


def compare(
    metric: Metric,
    truth: np.ndarray,
    folds: np.ndarray,
    groups: np.ndarray | None,
    predicted: Sequence[MemberPredictions],
    sole: str | None = None,
) -> Comparison:
    """Returns the comparison of members, mean and blend, which come in this order.

    The best member is chosen again in every bootstrap sample, so that the interval of a gain over it includes
    the uncertainty of the choice. A blend with all the weight on one member, `sole`, has no interval, because
    it claims no gain.
    """
    scores = [_score(metric, truth, folds, member) for member in predicted]
    draws = bootstrap.resample_scores(metric, truth, [member.cross_fitted for member in predicted], groups)
    sign = 1.0 if metric.higher_is_better else -1.0
    values = [score.cv for score in scores]
    *members, mean, blend = range(len(values))
    top = max(members, key=lambda index: sign * values[index])
    best_drawn = sign * _highest(sign * draws[:, members])

    def over(index: int, base: int) -> Gain:
        drawn_base = best_drawn if base == top else draws[:, base]
        name = {top: BEST, mean: MEAN}.get(base, scores[base].name)
        member_gain = gain(metric, name, values[index], values[base], draws[:, index], drawn_base)
        return _without_interval(member_gain) if index == blend and sole else member_gain

    def over_top(index: int) -> Gain:
        name = scores[top].name
        member_gain = gain(metric, name, values[index], values[top], draws[:, index], draws[:, top])
        return _without_interval(member_gain) if index == blend and sole else member_gain

    with_gains = [
        replace(score, gains=(over(index, top), over(index, mean), over_top(index)))
        for index, score in enumerate(scores)
    ]
    choices = (top, mean, blend)
    better = {(later, first): over(later, first).is_significant for later in choices for first in choices}
    return Comparison(
        members=tuple(with_gains[:-2]),
        mean=with_gains[mean],
        blend=with_gains[blend],
        best=scores[top].name,
        recommended=scores[top].name
        if sole
        else {top: scores[top].name, mean: MEAN, blend: BLEND}[simplest_not_worse(choices, better)],
        blend_is_mean=np.array_equal(predicted[mean].cross_fitted, predicted[blend].cross_fitted),
        draws=len(draws),
        by_groups=groups is not None,
        sole=sole,
    )


def sole_member(recipe: Ensembler, members: np.ndarray, blended: np.ndarray) -> int | None:
    """Returns the member that has all the weight of a fitted recipe, if the blend (N, K) equals this member's rows.

    A recipe that changes probabilities after weighing them, such as thresholds, is more than its one member.
    """
    index = _only_weight(recipe, len(members))
    if index is None:
        return None
    alone = recipe.normalise(members[index].astype(np.float64))
    return index if np.allclose(alone, blended, rtol=0, atol=EQUAL_WITHIN) else None


def _only_weight(recipe: Ensembler, count: int) -> int | None:
    if count == 1:
        return 0
    member, weights = getattr(recipe, "member", None), getattr(recipe, "weights", ())
    if member is not None:
        return int(member)
    if len(weights) == count:
        some = [index for index, weight in enumerate(weights) if weight]
        return some[0] if len(some) == 1 else None
    inner = [
        nested for key in ("chosen", "base") if isinstance(nested := getattr(recipe, key, None), Ensembler)
    ]
    return next(
        (inner_weight for nested in inner if (inner_weight := _only_weight(nested, count)) is not None), None
    )


def _without_interval(measured: Gain) -> Gain:
    return replace(measured, low=None, high=None)


def _highest(draws: np.ndarray) -> np.ndarray:
    """Returns the largest score of each draw (draws, members), NaN if no member has one."""
    filled = np.where(np.isnan(draws), -np.inf, draws).max(axis=1)
    return np.where(np.isneginf(filled), np.nan, filled)


def _score(metric: Metric, truth: np.ndarray, folds: np.ndarray, predicted: MemberPredictions) -> Score:
    def of(rows: np.ndarray) -> float | None:
        try:
            return metric.take_rows(rows).score(truth[rows], predicted.cross_fitted[rows])
        except InvalidError:
            return None

    by_fold = {int(fold): of(folds == fold) for fold in np.unique(folds)}
    pooled = metric.score(truth, predicted.cross_fitted)
    alike = predicted.in_sample is predicted.cross_fitted
    return Score(
        predicted.name, pooled, by_fold, pooled if alike else metric.score(truth, predicted.in_sample)
    )
