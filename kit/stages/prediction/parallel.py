"""sharded: predictions of checkpoints x rows, with each part of the rows as a job of an executor.

Parts end where batches do. So each network receives the same batches as without an executor, and no bit
depends on the parts.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kit.config.workspace import Workspace
from kit.core.progress import Progress, Work, finish
from kit.core.stopping import TIME_OVER_TEXT, Stop
from kit.data.table import test_table, train_table
from kit.device.precision import DEVICE, choose_device, device_line
from kit.errors import TIME_OVER, DataError, KitWarning, StoppedError
from kit.experiment.loading import geometry, load_rows
from kit.experiment.prediction_file import (
    PredictionFile,
    Split,
    classes_of_checkpoint,
    experiment_of,
    load_for_prediction,
    prediction_batches,
)
from kit.experiment.techniques import check_kit, code, worker_name
from kit.kinds import Views
from kit.kinds.executor import Executor, JobResult
from kit.model import checkpoints, network
from kit.model.predict import Merge, NetworkReader, open_views, predict_shared
from kit.runs.changes import provenance_diff
from kit.runs.run import plugin_hashes

TASK = "tta"
PARTS = 4  # jobs per worker, so that no worker waits long for the last one


@dataclass(frozen=True)
class ShardJob:
    """Rows for one checkpoint's network to predict: plain data, and a set of views, which is a recipe."""

    root: str
    config: Mapping[str, Any]  # the workspace's
    device: str
    checkpoint: str
    views: Views
    merge: Merge
    split: Split
    rows: np.ndarray  # (N,) int64, positions in the split's table, ascending
    batch_size: int
    member: str
    images: str  # the fingerprint of the split's images
    plugins: Mapping[str, str]  # hashes of their sources
    kit: str  # its code's


def predict_shard(job: ShardJob, stop: Stop) -> Work[np.ndarray]:
    """Returns the probabilities (N, K) float32 of a job's rows, in any process.

    If `stop` is requested, it ends after a batch, and the remaining rows are NaN.

    Raises DataError D60 if the process has another kit, other plugins or other images.
    """
    check_kit(job.kit)
    workspace, path = Workspace(Path(job.root), dict(job.config)), Path(job.checkpoint)
    trained = checkpoints.provenance_of(path)
    experiment = experiment_of(trained)
    data = workspace.competition.data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)  # already reported where the predictions were requested
        train = train_table(workspace.root, data).sort_by_id()
        table = test_table(workspace, data, train.classes) if job.split == "test" else train
        name = "test" if job.split == "test" else "train"
        loaded = finish(load_rows(workspace, table, name, geometry(experiment)))
    predictor = load_for_prediction(path, workspace.root, choose_device(job.device))
    parts = network.open_parts(
        experiment, workspace.root, classes_of_checkpoint(trained)
    ).without_pretrained()
    there = {"images": loaded.fingerprint(), "plugins": plugin_hashes([job.views, *parts.all()])}
    if cases := provenance_diff({"images": job.images, "plugins": job.plugins}, there, "here", "there"):
        raise DataError(
            f"{worker_name()} would predict {job.member} from other inputs than the command",
            code="D60",
            cases=cases,
            hint="install the same plugins on every node, and share one folder",
        )
    yield device_line(predictor.device, predictor.precision, workspace.experiment.workers, trains=False)
    views = open_views(job.views, experiment.image_size)
    predictions = np.empty((len(job.rows), len(table.classes)), np.float32)
    predictions[:, 0] = np.nan
    reader = NetworkReader(
        predictor,
        views,
        job.merge,
        job.rows,
        job.batch_size,
        predictions,
        np.arange(len(job.rows)),
        side=predictor.encode_columns(table, job.split),
    )
    loads = {"batch_size": job.batch_size, "workers": workspace.experiment.workers}
    bags = None
    if experiment.instances is not None:
        from kit.experiment.bags import find_bags

        bags = find_bags(loaded, experiment.instances["max_instances"])
    loading, device = experiment.model_copy(update=loads), predictor.device
    batches = prediction_batches(loaded, loading, job.rows, device, bags=bags)
    try:
        for step in predict_shared([reader], batches, TASK, job.member):
            yield step
            if stop.requested:
                break
    finally:
        batches.close()
    return predictions


def stop_of_pass(number: int) -> StoppedError:
    """Returns the error of a stopped pass, by a signal's number or TIME_OVER."""
    why = f"{TIME_OVER_TEXT}: " if number == TIME_OVER else ""
    return StoppedError(f"{why}stopped; what was predicted is saved", number)


def predict_in_parallel(
    executor: Executor, sheets: Sequence[PredictionFile], device: str, stop: Stop | None = None
) -> Work[None]:
    """Predicts the missing rows of files of one split.

    `done` counts rows times networks. Raises a job's error at once.

    If `stop` is requested, the running jobs end, and StoppedError is raised. Their predictions are in the
    files.
    """
    stop = stop or Stop()
    at_work = _start_jobs(sheets, device, executor)
    jobs = [job for job, _, _ in at_work]
    done, reported_at = [0.0] * len(jobs), dict[int, float]()
    members_text = ", ".join(dict.fromkeys(job.member for job in jobs))
    is_cut = False
    with closing(executor.map(predict_shard, jobs, stop)) as events:
        for event in events:
            job, predictions, places = at_work[event.job]
            if isinstance(event, JobResult):
                if isinstance(event.error, StoppedError):
                    is_cut = True
                    continue
                if event.error is not None:
                    raise event.error
                predictions[places] = event.result
                is_cut = is_cut or bool(np.isnan(event.result[:, 0]).any())
                done[event.job] = len(job.rows)
                yield Progress(TASK, sum(done), 1, f"{members_text} {job.split}")
                continue
            if stop.deadline is not None and event.job in reported_at:
                step_s = time.monotonic() - reported_at[event.job]
                stop.deadline.longest_step_s = max(stop.deadline.longest_step_s, step_s)
            reported_at[event.job] = time.monotonic()
            if event.step.task == DEVICE:
                yield event.step
            else:
                done[event.job] = event.step.done if event.step.task == TASK else done[event.job]
                yield Progress(TASK, sum(done), 1, event.step.detail, event.step.line)
    if is_cut and (number := stop.requested):
        raise stop_of_pass(number)


def _start_jobs(
    sheets: Sequence[PredictionFile], device: str, executor: Executor
) -> list[tuple[ShardJob, np.ndarray, np.ndarray]]:
    """Returns the jobs, and for each the array that it fills and the positions in it."""
    wanted = [(sheet, fold) for sheet in sheets for fold in sheet.folds_to_predict]
    parts = PARTS * executor.parallelism(PARTS * len(wanted))
    size = -(-sum(len(sheet.rows(fold)) for sheet, fold in wanted) // parts)
    at_work = []
    for sheet, fold in wanted:
        path, batch = sheet.job.checkpoints[fold], sheet.job.experiment.batch_rows()
        target = checkpoints.provenance_of(path).target
        rows, array, places = sheet.is_started(fold, target)
        step = max(1, -(-size // batch)) * batch
        at_work += [
            (_job(sheet, path, rows[at : at + step], device), array, places[at : at + step])
            for at in range(0, len(rows), step)
        ]
    return at_work


def _job(sheet: PredictionFile, path: Path, rows: np.ndarray, device: str) -> ShardJob:
    job = sheet.job
    config = {**job.workspace.raw, "executor": None}
    return ShardJob(
        str(job.workspace.root),
        config,
        device,
        str(path),
        job.recipe,
        job.merge,
        sheet.split,
        rows,
        job.experiment.batch_rows(),
        job.member,
        sheet.loaded.fingerprint(),
        job.provenance.plugins,
        code(),
    )
