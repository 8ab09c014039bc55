"""The choice of an option by score, for aggregators with a fitted option."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TypeVar

from kit.core.arrays import Targets
from kit.errors import InvalidError
from kit.kinds import Aggregator, AnswerImages, Metric
from kit.kinds.score_context import ScoreContext

A = TypeVar("A", bound=Aggregator)
MIN_GAIN = 1e-9  # scores this close are equal


def choose_best(recipes: Sequence[A], metric: Metric | None, images: AnswerImages, truth: Targets) -> A:
    """Returns the recipe whose answers have the best score, the first among equals.

    The usual metric of the target, such as log loss, decides if none is given or if it cannot score these rows.
    """
    combined = [images.join(recipe.combine) for recipe in recipes]
    target = recipes[0].target
    deciding_metric = Metric.open(target.usual_metrics[0]).with_known(context=ScoreContext(target=target))
    if metric is not None:
        with suppress(InvalidError):
            metric.score(truth, combined[0])
            deciding_metric = metric
    sign = -1.0 if deciding_metric.higher_is_better else 1.0
    costs = [sign * deciding_metric.score(truth, predictions) for predictions in combined]
    return recipes[next(index for index, cost in enumerate(costs) if cost <= min(costs) + MIN_GAIN)]
