"""on_features: trains a run on cached embeddings.

Each fold trains a head in seconds, and predicts held-out and test rows.

A stopped fold starts again. Its checkpoint has only the head.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.core import randomness
from kit.core.files import remove_partial_files
from kit.core.progress import Progress, Work
from kit.core.stopping import TIME_OVER_TEXT, Stop
from kit.data.column_encoder import SideValues
from kit.data.predictions import Predictions, ids_fingerprint, write_parts
from kit.data.vector_table import VectorTable
from kit.device import memory
from kit.device.ranks import Ranks
from kit.engine import fit
from kit.engine.feature_batches import Bags, FeatureBatches, pad_bags
from kit.engine.learner import Learner, learner
from kit.engine.step import SkippedStep
from kit.errors import TIME_OVER, RunError, StoppedError
from kit.evaluation.competition import scores
from kit.experiment.fold_training import plan_of
from kit.experiment.prediction_file import assemble, checkpoint_tags
from kit.kinds import Views
from kit.model.instance_network import InstanceNetwork, PooledInstances
from kit.model.network import build_side_input, check_frozen, set_layerwise_lr
from kit.runs.epoch_log import EpochLog
from kit.runs.run import Run, config_identity, prediction_provenance, select_folds
from kit.stages.training.feature_context import FeatureContext, prepare_feature_run, vectors_of
from kit.stages.training.fold import lock_fold
from kit.stages.training.fold_results import save_checkpoint, write_held_out
from kit.stages.training.pausing import cut_to_share

TASK = "train"
MAX_INSTANCES = 65_536  # that are predicted at a time, with padding; 256 MiB of 1,024 float32 features


def train_on_features(
    workspace: Workspace,
    run: Run,
    folds: Sequence[int] | None,
    stop: Stop,
    ranks: Ranks,
    share: float | None = None,
) -> Work[Run]:
    """Trains a run on cached embeddings, and writes its predictions of held-out and test rows.

    A `share` of the budget ends after the fold that it reaches.

    Raises what `prepare_feature_run` raises, RunError R20 for predictions that are not finite, StoppedError.
    """
    remove_partial_files(run.folder)
    setting = yield from prepare_feature_run(workspace, run, ranks)
    setting.begin(config_identity(workspace.experiment))
    wanted = select_folds(setting.folds, folds)
    if share is not None:
        wanted, _ = cut_to_share(setting, wanted, share)
    yield setting.device_line()
    for position, fold in enumerate(wanted):
        if signal := stop.requested:
            why = f"{TIME_OVER_TEXT}: " if signal == TIME_OVER else ""
            raise StoppedError(f"{why}stopped before fold {fold}; the finished folds are saved", signal)
        with lock_fold(run, fold):
            if not run.fold_predictions_file(fold).is_file():
                yield from _train_fold(setting, fold, position, len(wanted), stop)
    setting.trackers.log_pooled(setting, assemble(setting))
    _assemble_test(setting)
    return run


def _train_fold(setting: FeatureContext, fold: int, position: int, count: int, stop: Stop) -> Work[None]:
    folder, experiment = setting.run.fold(fold), setting.experiment
    folder.mkdir(parents=True, exist_ok=True)
    remove_partial_files(folder)
    features = setting.train_features(fold)
    new, stages = _learner(setting, fold, features), _stages(setting, fold, features)
    log, held_out = EpochLog.read(folder / "log.jsonl", 0), None
    with stop.at_step_boundary(), setting.trackers.of_fold(setting, fold, new) as tracking:
        for event in fit.fit(new, stages, plan_of(setting, fold), setting.precision):
            if isinstance(event, SkippedStep):
                yield _show(position, count, new, experiment, f"fold {fold}: {event}: R01, step skipped")
            if isinstance(event, fit.StepEvent):
                tracking.step(event)
                if signal := stop.requested:
                    why = f"{TIME_OVER_TEXT}: " if signal == TIME_OVER else ""
                    raise StoppedError(f"{why}stopped in fold {fold}, which begins again", signal)
            if not isinstance(event, fit.EpochEvent):
                continue
            started, values = time.monotonic(), dict[str, float]()
            is_last = event.number == experiment.epochs
            if is_last or event.number % experiment.validate_every == 0:
                held_out = _predict_held_out(setting, fold, new, features)
                values = scores(setting.scoring, held_out, setting.loaded.table)
            seconds = event.seconds + time.monotonic() - started
            text = log.add(event, new.step, values, seconds, memory.peak_bytes(setting.device))
            log.write()
            tracking.log(new.step, log.lines[-1])
            label = f"fold {fold} epoch {event.number}/{experiment.epochs}"
            yield Progress(
                TASK,
                (position + event.number / experiment.epochs) / count,
                1,
                f"{label}: {text}",
                line=is_last,
                regular=is_last,
            )
    assert held_out is not None, "a run has at least one epoch"
    average = None if new.average_network is None else new.average_network.state_dict()
    checkpoint = save_checkpoint(setting, fold, new.epoch, new.network.state_dict(), average, new.state())
    if setting.reads_test_rows:
        _predict_test(setting, fold, new).write(folder / "test.parquet")
    write_held_out(setting, fold, held_out, checkpoint)


def _show(position: int, count: int, trained: Learner, experiment: Experiment, text: str) -> Progress:
    return Progress(TASK, (position + trained.epoch / experiment.epochs) / count, 1, text, line=True)


def _learner(setting: FeatureContext, fold: int, features: VectorTable) -> Learner:
    """Returns a fold's head before its first step. Its weights are drawn from (seed, fold)."""
    experiment, techniques = setting.experiment, setting.techniques
    torch.manual_seed(randomness.number(experiment.seed, "weights", fold))
    rows = setting.training_rows(fold)
    mean, deviation = np.zeros(features.features), np.ones(features.features)
    if vectors_of(techniques).standardise:
        mean, deviation = features.statistics(rows)
    width = techniques.parts.loss.width(len(setting.loaded.table.classes))
    pooled = None if setting.instances is None else PooledInstances(setting.instances, features.features)
    inputs = features.features if pooled is None else pooled.count_features(features.features)
    columns, inputs = build_side_input(setting.parts_of(fold), inputs)
    head = techniques.parts.head.build(inputs, width)
    network = InstanceNetwork(head, mean, deviation, pooled, columns)
    placed = network.to(setting.device)
    for number, stage in enumerate(techniques.stages):
        check_frozen(placed, stage.section.freeze, f"stages.{number}.freeze")
    optimizer = techniques.optimizer.build(list(placed.named_parameters()))
    freezes = [stage.section.freeze for stage in techniques.stages]
    set_layerwise_lr(optimizer, placed, 1.0, experiment.lr_scales, freezes)
    return learner(placed, optimizer, setting.precision, experiment.ema_decay, experiment.swa_start)


def _stages(setting: FeatureContext, fold: int, features: VectorTable) -> list[fit.FitStage]:
    stages = []
    for stage in setting.techniques.stages:
        material = setting.training_data(fold, stage.loss)
        batches = FeatureBatches(
            features=features,
            bags=setting.bags(material.rows),
            labels=material.labels,
            sampler=stage.sampler,
            batch_size=stage.experiment.batch_rows(),
            seed=stage.experiment.seed,
            fold=fold,
            targets=material.targets,
            max_instances=None if setting.instances is None else setting.instances.max_instances,
            side=setting.side_of(fold),
        )
        stages.append(
            fit.FitStage(
                stage.epochs,
                batches,
                setting.loss_of(fold, stage.loss),
                stage.scheduler,
                stage.section.scheduler is not None,
                stage.section.lr_scale,
                stage.section.freeze,
            )
        )
    return stages


def _predict_held_out(
    setting: FeatureContext, fold: int, trained: Learner, features: VectorTable
) -> Predictions:
    """Returns a fold's predictions of the rows that it never saw. Raises RunError R20 if one is not finite."""
    table = setting.loaded.table
    bags, side = setting.bags(setting.oof_rows(fold)), setting.side_of(fold)
    rows, probabilities = _predict(setting, fold, trained, features, bags, side)
    return Predictions(
        table.ids[rows], np.full(len(rows), fold), table.classes, probabilities, target=table.target
    )


def _predict_test(setting: FeatureContext, fold: int, trained: Learner) -> Predictions:
    """Returns a fold's predictions of the test rows; those without a vector get the class prior."""
    table, test = setting.loaded.table, setting.test
    features = setting.test_features(fold)
    known = features.has_vector()
    bags, side = setting.test_bags(np.flatnonzero(known)), setting.test_side(fold)
    rows, probabilities = _predict(setting, fold, trained, features, bags, side)
    whole = np.tile(table.prior().astype(np.float32), (len(test), 1))
    whole[rows] = probabilities
    predicted = Predictions(test.ids, np.full(len(test), fold), table.classes, whole, target=table.target)
    if test.answers is None or known.all():
        return predicted
    # an answer with another image is predicted without the images that have no vector
    return predicted.take(known | ~np.isin(test.answers, test.answers[known]))


def _predict(
    setting: FeatureContext,
    fold: int,
    trained: Learner,
    features: VectorTable,
    bags: Bags,
    side: SideValues | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of bags, ascending, and the prediction (N, K) float32 of each row's bag."""
    predictor, loss = trained.predictor, setting.loss_of(fold, setting.techniques.parts.loss)
    was_training, parts, done = predictor.training, [], 0
    predictor.eval()
    for part in bags.split(setting.experiment.batch_rows(), MAX_INSTANCES):
        inputs = [pad_bags(features, part)]
        if side is not None:
            inputs.append(torch.from_numpy(side.of(bags.first[done : done + len(part)])))
        done += len(part)
        with setting.precision.autocast_prediction(setting.device):
            outputs = predictor(*(tensor.to(setting.device) for tensor in inputs))
        with torch.inference_mode():
            parts.append(loss.probabilities(outputs.float()).cpu().numpy())
    predictor.train(was_training)
    empty = np.zeros((0, len(setting.loaded.table.classes)), np.float32)
    rows, probabilities = bags.expand(np.concatenate([empty, *parts]).astype(np.float32))
    if not np.isfinite(probabilities).all():
        raise RunError(
            f"fold {fold}: some predictions are not finite",
            code="R20",
            hint="a lower optimizer.lr, under another --name",
        )
    return rows, probabilities


def _assemble_test(setting: FeatureContext) -> None:
    """Writes predictions/plain/test.parquet from the finished folds."""
    run = setting.run
    files = [run.fold(fold) / "test.parquet" for fold in range(setting.folds.count)]
    there = {fold: Predictions.read(file) for fold, file in enumerate(files) if file.is_file()}
    if not there:
        return
    held_out = {fold: Predictions.read(run.fold_predictions_file(fold)) for fold in there}
    plugins = [Views.open("plain"), *setting.techniques.parts.all()]
    provenance = prediction_provenance(run, "plain", "mean", setting.loaded.table, plugins)
    provenance = replace(
        provenance,
        rows="test",
        ids=ids_fingerprint(setting.test.ids),
        images=setting.loaded.fingerprint(),
        columns=setting.digest_columns(setting.test, "test"),
        checkpoints=checkpoint_tags(held_out),
    )
    write_parts(run.predictions("plain") / "test.parquet", list(there.values()), provenance)
