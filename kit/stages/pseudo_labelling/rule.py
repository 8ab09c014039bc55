"""Rule: selects the rows that are certain enough to be learned from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

DEFAULT_THRESHOLD = 0.9  # minimum probability of the top class, if no share of the rows is requested


@dataclass(frozen=True)
class Rule:
    """Selects the most certain rows.

    `top_fraction` is of the rows predicted as a class, or, with `class_balanced`, of all rows times the
    class's prior.

    Source of `threshold`: Lee 2013, "Pseudo-Label"; of `top_fraction`: Zou et al. 2018, "Unsupervised Domain
    Adaptation via Class-Balanced Self-Training", section 4.1.
    """

    threshold: float | None = None  # minimum probability of the most probable class, by default 0.9
    top_fraction: float = 1.0  # share, the most certain first
    class_balanced: bool = False
    unanimous: bool = False  # all teachers predict the same class

    @property
    def least(self) -> float:
        """The minimum probability of the most probable class."""
        return DEFAULT_THRESHOLD if self.threshold is None else self.threshold

    def looser(self) -> str:
        """Returns the options of kit pseudo-labels that select more rows, without those that were given."""
        ways = ["a lower --threshold"] if self.least > 0 else []
        ways += ["without --unanimous"] if self.unanimous else []
        if self.top_fraction == 1:
            ways.append("--top-fraction 0.2 without --threshold")
        return ", or ".join(ways) or "a larger --top-fraction"

    def select(self, shares: np.ndarray, agreed: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """Returns which rows are selected, bool (N,), by probabilities (N, K); `agreed` (N,): all teachers
        predict the same class.
        """
        confidence, predicted = shares.max(axis=1, initial=0), shares.argmax(axis=1)
        is_selected = np.asarray(confidence >= self.least)
        if self.unanimous:
            is_selected &= agreed
        if self.top_fraction < 1 or self.class_balanced:
            order = np.argsort(-confidence, kind="stable")
            for number, share in enumerate(prior.tolist()):
                own = predicted == number
                of = len(shares) * share if self.class_balanced else int(own.sum())
                ranked = order[(own & is_selected)[order]]
                is_selected[ranked[math.ceil(round(self.top_fraction * of, 9)) :]] = False
        return is_selected
