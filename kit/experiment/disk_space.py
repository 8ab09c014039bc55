"""room: whether what a run will write fits on its disk, asked before anything is written."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from kit.config.models import Experiment
from kit.core.files import format_bytes, free_space
from kit.errors import KitWarning, RunError
from kit.model.checkpoints import CHECKPOINTS_PER_FOLD, checkpoint_numbers, size
from kit.runs.run import Run

OPTIMIZER_TENSORS = 2  # tensors that an optimizer keeps for each of weights: Adam two, momentum one


@dataclass(frozen=True)
class DiskNeed:
    """Bytes that a run will write; all but `least` are estimates."""

    least: int  # weights of one fold's checkpoints
    checkpoints: int  # that all folds keep, and the one that is being written
    predictions: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.checkpoints + self.predictions

    def __str__(self) -> str:
        return f"checkpoints {format_bytes(self.checkpoints)}, predictions {format_bytes(self.predictions)}"


def estimate_disk(run: Run, experiment: Experiment, network: nn.Module, folds: Sequence[int]) -> DiskNeed:
    """What the checkpoints of the folds that are not finished will take, beside those that are there."""
    weights = size(network.state_dict())
    averaged = experiment.ema_decay > 0 or experiment.swa_start is not None
    whole = weights * (2 if averaged else 1)
    state = OPTIMIZER_TENSORS * size(dict(network.named_parameters()))
    open_folds = [fold for fold in folds if not run.fold_predictions_file(fold).is_file()]
    kept = min(CHECKPOINTS_PER_FOLD, math.ceil(experiment.epochs / experiment.save_every))
    there = sum(min(kept, len(checkpoint_numbers(run.fold(fold)))) for fold in open_folds)
    coming = max(0, kept * len(open_folds) - there) + (1 if open_folds else 0)
    if experiment.save_every_steps and open_folds:
        coming += 1
    least = whole * (
        kept + 1 - max((len(checkpoint_numbers(run.fold(fold))) for fold in open_folds), default=kept + 1)
    )
    return DiskNeed(max(0, least), (whole + state) * coming)


def check_room(
    run: Run,
    experiment: Experiment,
    network: nn.Module,
    folds: Sequence[int],
    rows: int,
    classes: int,
) -> None:
    """Raises RunError R06 where one fold's weights alone will not fit; warns (W20) where all may not."""
    found = estimate_disk(run, experiment, network, folds)
    found = replace(found, predictions=2 * 4 * rows * classes)
    have = free_space(run.folder)
    text = (
        f"runs/{run.name} needs about {format_bytes(found.total)} ({found}), and {format_bytes(have)} "
        "are free"
    )
    if found.least > have:
        raise RunError(
            f"the disk is too small for the run: {text}",
            code="R06",
            hint="free some space, or make runs/ a link to another disk",
        )
    if found.total > have:
        warnings.warn(KitWarning(f"W20 the disk may be too small for the run: {text}"), stacklevel=3)
