"""sweep_pruning: where a sweep looks at its trials, and which it stops, by optuna's pruners.

A pruner is asked about a trial after all others have reported. So the order of the trials changes no decision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kit.core.installed import require_package
from kit.errors import ConfigError, did_you_mean
from kit.stages.training.pausing import ROUNDING

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

PRUNERS = ("halving", "median")
FACTOR = 2  # of so many trials at a rung, one goes on
SEARCH_RUNGS = 4  # of a search, whose number of trials may grow
LOOKS_PER_FOLD = 4  # of the median rule
# batch norm's running statistics keep 4 % of their start after 30 steps (torch's momentum of 0.1), and 20 % after 15:
# a validation score before that depends on the learning rate's first steps
MIN_STEPS = 30


@dataclass(frozen=True)
class Reports:
    """What a trial has reported: its value by step, and what has become of it."""

    values: Mapping[int, float]
    state: Literal["running", "finished", "pruned"] = "running"


@dataclass(frozen=True)
class Looks:
    """The shares of a trial's budget after which a pruner looks at it, ascending and below 1, and optuna's steps."""

    pruner: str
    shares: tuple[float, ...]

    def step(self, share: float) -> int | None:
        """Optuna's step of a share; None if the pruner does not look there."""
        if share not in self.shares:
            return None
        index = self.shares.index(share)
        return FACTOR**index if self.pruner == "halving" else index + 1


def plan_looks(pruner: str, trials: int | None, budget: int, folds: int, earliest: float = 0.0) -> Looks:
    """The looks of a pruner at `trials` of a grid, or of a search (None), with `budget` epochs over all folds.

    Successive halving doubles the budget from rung to rung, from 1/n for n trials, and at least one epoch. The median
    rule looks after each quarter of a fold. After the first fold, both look only at the ends of folds, rounded down:
    the early epochs of another fold would show less than the finished ones. Looks before the share `earliest` of the
    budget are left out.
    """
    if pruner == "median":
        count = LOOKS_PER_FOLD * folds
        shares = [look / count for look in range(1, count)]
    else:
        rungs = SEARCH_RUNGS if trials is None else _log2(trials)
        rungs = min(rungs, _log2(budget))
        shares = [FACTOR ** float(rung - rungs) for rung in range(rungs)]
    ends = [math.floor(share * folds + ROUNDING) / folds for share in shares]
    aligned = {end or share for share, end in zip(shares, ends, strict=True)}
    return Looks(pruner, tuple(sorted(share for share in aligned if share >= earliest - ROUNDING)))


def find_earliest_look(steps_per_epoch: int, epochs: int, folds: int) -> float:
    """The share of a trial's budget after which its first fold has MIN_STEPS steps, or has ended."""
    needed = min(math.ceil(MIN_STEPS / max(steps_per_epoch, 1)), epochs)
    return needed / (epochs * folds)


def _log2(count: int) -> int:
    """The logarithm to base 2, rounded down."""
    return max(count, 1).bit_length() - 1


def prunes(pruner: str, higher_is_better: bool, others: Sequence[Reports], own: Mapping[int, float]) -> bool:
    """Whether optuna's pruner stops a trial at the last step that it has reported, after what the others reported.

    Source: Jamieson & Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter Optimization"; Li et
    al. 2020, "A System for Massively Parallel Hyperparameter Tuning"; optuna.pruners.
    """
    import optuna
    from optuna.trial import TrialState

    if not own:
        return False
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction = "maximize" if higher_is_better else "minimize"
    study = optuna.create_study(direction=direction, pruner=_open(pruner))
    for other in others:
        trial = study.ask()
        for step, value in sorted(other.values.items()):
            trial.report(value, step)
            trial.should_prune()
        if other.state == "finished" and other.values:
            study.tell(trial, other.values[max(other.values)])
        elif other.state != "running":
            study.tell(trial, state=TrialState.PRUNED if other.values else TrialState.FAIL)
    trial, stops = study.ask(), False
    for step, value in sorted(own.items()):
        trial.report(value, step)
        stops = trial.should_prune()
    return stops


def _open(pruner: str) -> BasePruner:
    from optuna.pruners import MedianPruner, SuccessiveHalvingPruner

    if pruner == "median":
        return MedianPruner()
    return SuccessiveHalvingPruner(min_resource=1, reduction_factor=FACTOR)


def check_pruner(pruner: str) -> None:
    """Raises ConfigError C05 for an unknown pruner, C24 if optuna is not installed."""
    if pruner not in PRUNERS:
        raise ConfigError(
            f"no pruner {pruner!r}{did_you_mean(pruner, PRUNERS)}", code="C05", hint=", ".join(PRUNERS)
        )
    require_package("optuna", "a pruner", "use --stop-folds, or no pruner")
