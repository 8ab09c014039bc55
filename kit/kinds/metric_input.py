"""What a metric scores: labels, a ranking of the classes, or the probabilities themselves."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from kit.kinds.classes import LabelKind
from kit.kinds.prediction import Metric

Scored = Literal["labels", "ranking", "probabilities"]
ROWS = 64
MAX_CLASSES = (
    100  # a metric may need memory by the square of the classes, and scores more of them in the same way
)


def detect_scored_input(metric: Metric, labels: LabelKind, classes: int) -> Scored | None:
    """What the score depends on, measured on made-up predictions; None if the metric cannot score those.

    The metric's score of hard predictions (0 and 1) is compared with its score of soft predictions of the same
    labels. Equal scores mean that only the labels count. If they differ, a second set of soft predictions keeps each
    row's order of the classes: equal scores then mean that only this order counts. A metric needs no declaration, so
    a workspace's own metrics are covered too.
    """
    truth, hard, soft, same_order = _make_up(labels, min(max(classes, 2), MAX_CLASSES))
    try:
        scores = [float(metric.score(truth, values)) for values in (hard, soft, same_order)]
    except Exception:  # a workspace's own metric may want other rows than these
        return None
    if not all(math.isfinite(score) for score in scores):
        return None
    if math.isclose(scores[0], scores[1], rel_tol=1e-9, abs_tol=1e-12):
        return "labels"
    return "ranking" if math.isclose(scores[1], scores[2], rel_tol=1e-9, abs_tol=1e-12) else "probabilities"


def _make_up(labels: LabelKind, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Truth, hard predictions of which about a third are wrong, and two soft versions of the same predictions.

    Soft values of a predicted label are above 0.96, those of the others below 0.04, so that usual thresholds agree.
    """
    rng = np.random.default_rng(0)
    if labels == "multi_hot":
        truth = (rng.random((ROWS, classes)) < 0.4).astype(np.int8)
        hard = np.where(rng.random(truth.shape) < 0.3, 1 - truth, truth).astype(np.float64)
        soft = np.where(hard == 1, rng.uniform(0.99, 1, hard.shape), rng.uniform(0, 0.01, hard.shape))
        return truth, hard, soft, soft ** rng.uniform(0.75, 1.5, (ROWS, 1))
    numbers = np.arange(ROWS) % classes
    predicted = np.where(rng.random(ROWS) < 0.35, rng.integers(0, classes, ROWS), numbers)
    hard = np.eye(classes)[predicted]
    others = rng.dirichlet(np.ones(classes), ROWS)
    first, second = rng.uniform(0.98, 0.999, (2, ROWS, 1))
    return numbers, hard, hard * first + others * (1 - first), hard * second + others * (1 - second)
