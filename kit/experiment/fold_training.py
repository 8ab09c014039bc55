"""Fold training: a fold's stages with their batches, its normalisation, its learner, and the plan of its steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from kit.config.models import Experiment, Statistics
from kit.core import randomness
from kit.core.pixel_types import to_floats
from kit.engine import fit
from kit.engine.batches import LoaderProcesses, TrainBatches
from kit.engine.learner import Learner
from kit.engine.step import StepPlan
from kit.errors import DataError
from kit.experiment.run_context import RunContext
from kit.experiment.techniques import OpenStage, build_learner
from kit.images.cache import Cache
from kit.images.concat_cache import ConcatCache


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


MAX_ROWS = 2048  # maximum number of measured images, evenly spread over the training rows
STEP_PX = 2  # stride along each axis of the measured pixels

MeanAndDeviation = tuple[np.ndarray, np.ndarray]  # (channels,) each, of pixels from 0 to 1


def is_measured(experiment: Experiment) -> bool:
    """Whether an experiment measures its training rows: if it is set, or if its images are not RGB."""
    return experiment.normalisation == "measured" or (
        experiment.normalisation == "auto" and experiment.channels != 3
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


def measure(cache: Cache | ConcatCache, rows: np.ndarray) -> MeanAndDeviation:
    """Returns mean and deviation of each channel over the images of some rows. Raises DataError D87."""
    chosen = rows[:: max(1, len(rows) // MAX_ROWS)]
    count, total, squares = 0, np.zeros(cache.channels), np.zeros(cache.channels)
    for row in chosen.tolist():
        values = (
            to_floats(cache[row][::STEP_PX, ::STEP_PX]).reshape(-1, cache.channels).astype(np.float64) / 255
        )
        count += len(values)
        total += values.sum(axis=0)
        squares += (values**2).sum(axis=0)
    mean = total / max(count, 1)
    deviation = np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 0))
    constant = np.flatnonzero(deviation < 1e-6).tolist()
    if constant:
        raise DataError(
            f"channels {', '.join(map(str, constant))} of the training images are constant",
            code="D87",
            hint="leave them out with data.reader.take; or normalisation.mean and normalisation.std",
        )
    return mean, deviation
