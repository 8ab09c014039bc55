"""Fold training: a fold's stages with their batches, its learner before the first step, and the plan of its steps."""

from __future__ import annotations

import torch

from kit.core import randomness
from kit.engine import fit
from kit.engine.batches import LoaderProcesses, TrainBatches
from kit.engine.learner import Learner
from kit.engine.step import StepPlan
from kit.experiment.normalisation import fold_statistics
from kit.experiment.run_context import RunContext
from kit.experiment.techniques import OpenStage, build_learner


def train_stages(
    setting: RunContext, fold: int, processes: LoaderProcesses | None = None
) -> list[fit.FitStage]:
    """A fold's stages, each with its training batches, which load nothing yet, and share `processes` if given."""
    return [
        fit.FitStage(
            stage.epochs,
            _batches(setting, fold, stage, processes),
            setting.loss_of(fold, stage.loss),
            stage.scheduler,
            stage.section.scheduler is not None,
            stage.section.lr_scale,
            stage.section.freeze,
        )
        for stage in setting.techniques.stages
    ]


def _batches(
    setting: RunContext, fold: int, stage: OpenStage, processes: LoaderProcesses | None
) -> TrainBatches:
    experiment, material = stage.experiment, setting.training_data(fold, stage.loss)
    return TrainBatches(
        cache=material.cache,
        labels=material.labels,
        targets=material.targets,
        rows=material.rows,
        sampler=stage.sampler,
        augmenter=stage.augmenter,
        size=experiment.image_size,
        batch_size=experiment.batch_rows(),
        seed=experiment.seed,
        fold=fold,
        workers=experiment.workers,
        device=setting.device,
        rank=setting.ranks.rank,
        ranks=setting.ranks.count,
        processes=processes,
    )


def plan_of(setting: RunContext, fold: int) -> StepPlan:
    """The numbers of a fold's fit that its stages share."""
    experiment = setting.experiment
    return StepPlan(experiment.seed, fold, experiment.micro_batch_size, experiment.clip_grad_norm)


def new_learner(setting: RunContext, fold: int) -> Learner:
    """A fold's learner before its first step; its weights are drawn from (seed, fold)."""
    torch.manual_seed(randomness.number(setting.experiment.seed, "weights", fold))
    classes = len(setting.loaded.table.classes)
    return build_learner(
        setting.techniques,
        setting.experiment,
        classes,
        setting.precision,
        setting.device,
        setting.ranks,
        fold_statistics(setting, fold),
    )
