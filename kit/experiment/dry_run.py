"""Dry run: checks everything that a run needs up to its first batch, and trains nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath
from kit.core.progress import Progress, Work, stage
from kit.device.compiling import COST
from kit.engine import fit, step
from kit.errors import RunError
from kit.experiment.fold_training import new_learner, train_stages
from kit.experiment.run_context import RunContext, prepare_run
from kit.experiment.warm_start import load_initial_weights
from kit.model import network
from kit.runs.run import check_same_experiment, find_run, select_folds

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class DryRunResult(Displayed):
    """A run's properties, and the first batch's loss before training, beside the loss of equal outputs."""

    run: str
    rows: int
    classes: int
    labels: str  # in words, such as `5 classes`
    folds: dict[int, tuple[int, int]]  # fold -> rows trained on, rows held out
    steps_per_epoch: int
    steps: int  # of all requested folds
    parameters: int
    device: str
    precision: str
    memory_format: str
    compile: str
    first_batch: tuple[int, ...]
    first_loss: float
    guessing_loss: (
        float  # cross-entropy without any knowledge: log(classes), or log 2 if each class is a question
    )

    def _lines(self) -> list[str]:
        return [
            f"runs/{self.run}: {self.rows} rows of {self.labels}, {len(self.folds)} folds",
            f"{self.steps} steps, {self.parameters:,} parameters, {self.device}",
            f"loss of the first batch {self.first_loss:.4f}, of equal outputs {self.guessing_loss:.4f}",
        ]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per quantity: its name and value."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return frame({"quantity": name.replace("_", " "), "value": value} for name, value in values)


@stage
def dry_run(
    workspace: Workspace | StrPath, name: str | None = None, folds: Sequence[int] | None = None
) -> Work[DryRunResult]:
    """Opens, loads and builds everything, and runs the first batch forward. Raises the errors of training."""
    workspace = Workspace.of(workspace)
    run = find_run(workspace, name)
    check_same_experiment(run, workspace.experiment)
    setting = yield from prepare_run(workspace, run)
    wanted = select_folds(setting.folds, folds)
    setting.check_starts(wanted)
    yield Progress("first batch", 0, 1)
    learner, stages = new_learner(setting, wanted[0]), train_stages(setting, wanted[0])
    if start := setting.initial_checkpoint(wanted[0]):
        load_initial_weights(learner, start)
    try:
        first = [_first_batch(setting, learner.network, stage) for stage in stages]
    finally:
        for stage in stages:
            stage.batches.close()
    shape, loss = first[0]
    classes = len(setting.loaded.table.classes)
    return DryRunResult(
        run=run.name,
        rows=len(setting.loaded.table),
        classes=classes,
        labels=setting.loaded.table.target.count_words(classes),
        folds={
            fold: (
                len(setting.training_rows(fold)) + setting.pseudo_row_count(fold),
                len(setting.oof_rows(fold)),
            )
            for fold in wanted
        },
        steps_per_epoch=stages[0].batches.steps,
        steps=sum(stage.steps for stage in stages) * len(wanted),
        parameters=network.parameters(learner.network),
        device=str(setting.device),
        precision=f"{setting.precision.train} for training, {setting.precision.predict} for prediction",
        memory_format=setting.precision.memory_format,
        compile=COST if setting.experiment.compile else "no",
        first_batch=shape,
        first_loss=loss,
        guessing_loss=setting.loaded.table.target.guessing_loss(classes),
    )


def _first_batch(
    setting: RunContext, model: torch.nn.Module, stage: fit.FitStage
) -> tuple[tuple[int, ...], float]:
    """Runs the first batch of a stage forward: returns its shape and its loss."""
    batch = next(iter(stage.batches.epoch(0)))
    images = setting.precision.to_layout(batch.images, setting.device)
    with torch.no_grad():
        outputs = step.outputs(model, images, setting.precision, setting.device, batch.side).float()
    loss = float(stage.loss.rows(outputs, batch.labels.to(setting.device)).mean())
    if not math.isfinite(loss):
        hint = (
            "another loss" if setting.precision.train == "float32" else "precision=float32, or another loss"
        )
        raise RunError(f"the loss of the first batch is {loss}", code="R01", hint=hint)
    return tuple(batch.images.shape), round(loss, 4)
