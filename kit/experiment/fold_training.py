"""Fold training: a fold's stages with their batches, its normalisation, its learner, and the plan of its steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from kit.config.models import Statistics
from kit.core import randomness
from kit.engine import fit
from kit.engine.batches import LoaderProcesses, TrainBatches
from kit.engine.learner import Learner
from kit.engine.step import StepPlan
from kit.experiment.pixel_statistics import MeanAndDeviation, is_measured, measure
from kit.experiment.run_context import RunContext
from kit.experiment.techniques import OpenStage, build_learner


def train_stages(
    setting: RunContext, fold: int, processes: LoaderProcesses | None = None
) -> list[fit.FitStage]:
    """Returns a fold's stages, each with its training batches, which load nothing yet, and share `processes`
    if given.
    """
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
        side=setting.side_of(fold),
        unlabelled=material.unlabelled,
        bags=setting.image_bags,
    )


def plan_of(setting: RunContext, fold: int) -> StepPlan:
    """Returns the numbers of a fold's fit that its stages share."""
    experiment = setting.experiment
    return StepPlan(experiment.seed, fold, experiment.micro_batch_size, experiment.clip_grad_norm)


def new_learner(setting: RunContext, fold: int) -> Learner:
    """Returns a fold's learner before its first step. Its weights are drawn from (seed, fold)."""
    torch.manual_seed(randomness.number(setting.experiment.seed, "weights", fold))
    classes = len(setting.loaded.table.classes)
    return build_learner(
        replace(setting.techniques, parts=setting.parts_of(fold)),
        setting.experiment,
        classes,
        setting.precision,
        setting.device,
        setting.ranks,
        fold_statistics(setting, fold),
    )


def fold_statistics(setting: RunContext, fold: int) -> MeanAndDeviation | None:
    """Returns the statistics of a fold's training rows, or those of the config. None: the backbone's own.

    Raises DataError D87 if a channel is constant.
    """
    experiment = setting.experiment
    given = experiment.normalisation
    if isinstance(given, Statistics):
        return np.array(given.mean), np.array(given.std)
    if not is_measured(experiment):
        return None
    material = setting.training_data(fold, setting.techniques.stages[0].loss)
    return measure(material.cache, material.rows)
