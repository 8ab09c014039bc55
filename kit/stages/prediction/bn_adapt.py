"""bn_adapt: networks whose batch norm is adapted to the rows of a split that they predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from kit.core import randomness
from kit.core.progress import Progress, Work
from kit.experiment.prediction_file import PredictionFile, experiment_of, prediction_batches, restore
from kit.model import checkpoints
from kit.model.bn_adaptation import adapt_batch_norm, check_norms, choose_batch_rows
from kit.model.predict import Predictor, for_predicting


def load_adapted(
    files: Sequence[PredictionFile], root: Path, device: torch.device, prior: int, task: str
) -> Work[dict[Path, Predictor]]:
    """Loads the networks of one split's files, by checkpoint, each adapted to all rows that it predicts there.

    The rows of a network are shuffled by the experiment's seed and its fold, and cut into batches of about 64. So
    neither the config's batch size, views nor a stop changes the statistics. Raises ConfigError C90 for a network
    without batch norm.
    """
    predictors: dict[Path, Predictor] = {}
    for file in files:
        for fold in file.folds_to_predict:
            path = file.job.checkpoints[fold]
            if path not in predictors:
                predictors[path] = yield from _load(file, fold, root, device, prior, task)
    return predictors


def _load(
    file: PredictionFile, fold: int, root: Path, device: torch.device, prior: int, task: str
) -> Work[Predictor]:
    checkpoint = checkpoints.load(file.job.checkpoints[fold])
    predictor = restore(checkpoint, root, device)
    check_norms(predictor.network, file.job.run.name)
    experiment = experiment_of(checkpoint.provenance)
    rows = file.rows(fold)
    if not len(rows):
        return predictor
    draws = randomness.generator(experiment.seed, "bn_adapt", fold)
    order = rows[draws.permutation(len(rows))]
    sized = file.job.experiment.model_copy(update={"batch_size": choose_batch_rows(len(rows))})
    side = predictor.encode_columns(file.loaded.table, file.split)
    batches = prediction_batches(file.loaded, sized, np.asarray(order), device, side=side)
    detail = f"adapting batch norm of {file.job.run.name} fold {fold} to {len(rows)} {file.split} rows"
    yield Progress(task, 0, 1, detail)
    try:
        adapted = adapt_batch_norm(predictor.network, batches, len(rows), prior, predictor.precision)
    finally:
        batches.close()
    return replace(predictor, network=for_predicting(adapted, predictor.precision, experiment.image_size))
