"""pausing: where a run pauses that is given a share of its budget, all epochs of all folds, one fold after another."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kit.experiment.run_context import RunContext
from kit.model.checkpoints import checkpoint_numbers
from kit.runs.run import Run

ROUNDING = 1e-9  # a share such as 1/3 of 9 epochs is 3 epochs


def pause_point(share: float, folds: int, epochs: int) -> tuple[int, int]:
    """The fold in which a share of the budget ends, and how many of its epochs it has, at least one."""
    spent = min(max(math.ceil(share * folds * epochs - ROUNDING), 1), folds * epochs)
    fold = (spent - 1) // epochs
    return fold, spent - fold * epochs


def cut_to_share(setting: RunContext, wanted: Sequence[int], share: float) -> tuple[list[int], int | None]:
    """The folds that a share of the budget reaches, and the epochs of the last of them; None: it is trained whole."""
    epochs = setting.experiment.epochs
    fold, epoch = pause_point(share, setting.folds.count, epochs)
    reached = [candidate for candidate in wanted if candidate <= fold]
    return reached, epoch if reached[-1] == fold and epoch < epochs else None


def has_reached(run: Run, fold: int, epoch: int) -> bool:
    """Whether a run has so many epochs of a fold, and all earlier folds."""
    earlier = all(run.fold_predictions_file(earlier_fold).is_file() for earlier_fold in range(fold))
    done = run.fold_predictions_file(fold).is_file()
    return earlier and (done or is_paused(run, fold, epoch))


def is_paused(run: Run, fold: int, epoch: int) -> bool:
    """Whether a fold has a checkpoint of so many epochs or more."""
    return max(checkpoint_numbers(run.fold(fold)), default=0) >= epoch


def has_finished_folds(setting: RunContext) -> bool:
    """Whether a run has predictions of held-out rows."""
    return any(setting.run.fold_predictions_file(fold).is_file() for fold in range(setting.folds.count))
