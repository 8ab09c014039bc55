"""The results of a fold's training: its checkpoints, and its predictions of the rows that it never saw."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kit.core.progress import Work
from kit.data.predictions import Predictions, Provenance
from kit.device import memory
from kit.engine.batches import LoaderProcesses, PlainBatches
from kit.engine.learner import Learner
from kit.errors import MAX_CASES, Case, RunError
from kit.experiment.prediction_file import prediction_batches
from kit.experiment.run_context import RunContext
from kit.model import checkpoints
from kit.model.checkpoints import CheckpointProvenance, size
from kit.model.non_finite import find_non_finite
from kit.model.predict import Predictor, for_predicting, predict_all
from kit.runs.run import versions

SPARE_FACTOR = 2  # times a checkpoint's bytes, free host memory below which it is written without a copy
Write = Callable[[Any], object]  # function that writes the given values


def oof_batches(setting: RunContext, fold: int, processes: LoaderProcesses | None = None) -> PlainBatches:
    """Returns this rank's batches of the rows that a fold's model predicts. `processes` also load for others."""
    rows, bags = setting.oof_rows(fold), setting.image_bags
    rows = rows if bags is None else bags.first_rows(rows)
    mine = setting.ranks.shard_batches(rows, setting.experiment.batch_rows())
    return prediction_batches(
        setting.loaded, setting.experiment, mine, setting.device, processes, setting.side_of(fold), bags
    )


def predict_held_out(
    setting: RunContext, fold: int, predictor: nn.Module, batches: PlainBatches | None = None
) -> Work[Predictions]:
    """Returns a fold's predictions of the rows it never saw.

    Each rank predicts whole batches, and all ranks receive all of them.

    It is empty if all rows train. `batches` are those of `oof_batches`, by default new ones.
    """
    table, rows = setting.loaded.table, setting.oof_rows(fold)
    if not len(rows):
        nothing, folds = np.zeros((0, len(table.classes)), np.float32), np.zeros(0, np.int64)
        return Predictions(table.ids[rows], folds, table.classes, nothing, target=table.target)
    batches = oof_batches(setting, fold) if batches is None else batches
    loss, target = setting.loss_of(fold, setting.techniques.parts.loss), table.target
    prepared = for_predicting(predictor, setting.precision, setting.experiment.image_size)
    model = Predictor(prepared, loss, setting.precision, target)
    try:
        (own,) = yield from predict_all(
            [model], batches, [lambda images: images], "mean", len(batches.rows), "validate"
        )
    finally:
        batches.close()
    probabilities = np.concatenate([part for part in setting.ranks.all_gather(own) if len(part)])
    if setting.image_bags is not None:
        probabilities = setting.image_bags.spread(rows, probabilities)
    return Predictions(table.ids[rows], np.full(len(rows), fold), table.classes, probabilities, target=target)


def check_finite(setting: RunContext, fold: int, learner: Learner, held_out: Predictions, label: str) -> None:
    """Raises RunError R20 for held-out predictions that are not finite, because more epochs would not change them."""
    wrong = ~np.asarray(np.isfinite(held_out.probabilities).all(axis=1))
    if not wrong.any():
        return
    rows = setting.oof_rows(fold)[wrong][:MAX_CASES]
    side, bags = setting.side_of(fold), setting.image_bags
    batches = prediction_batches(setting.loaded, setting.experiment, rows, side=side, bags=bags)
    try:
        first = next(iter(batches))
        images = setting.precision.to_layout(first.images, setting.device)
    finally:
        batches.close()
    loss = setting.loss_of(fold, setting.techniques.parts.loss)
    target = setting.loaded.table.target
    model = Predictor(learner.predictor, loss, setting.precision, target)
    cause = find_non_finite(model.network, lambda: model.probabilities(images, first.side))
    error = RunError(
        f"{label}: {wrong.sum()} of {len(wrong)} held-out predictions are not finite; {cause or 'the loss gives them'}",
        code="R20",
        cases=[
            Case("is predicted as NaN or infinite", id=str(setting.loaded.table.ids[row])) for row in rows
        ],
        hint="predict_precision=float32; another file for backbone.weights; a lower optimizer.lr",
    )
    raise setting.ranks.raise_everywhere(error)


def write_held_out(setting: RunContext, fold: int, held_out: Predictions, checkpoint: Path) -> None:
    """Writes a fold's out-of-fold predictions, which mark the fold as finished."""
    tags = {str(fold): checkpoints.tag(checkpoint)}
    provenance = Provenance(run=setting.run.name, fold=fold, rows="oof", checkpoints=tags)
    replace(held_out, provenance=provenance).write(setting.run.fold_predictions_file(fold))


def save_checkpoint(
    setting: RunContext,
    fold: int,
    number: int,
    weights: Mapping[str, Tensor],
    average: Mapping[str, Tensor] | None,
    state: Mapping[str, Any],
    soup: Sequence[str] = (),
    step: int = 0,
) -> Path:
    """Writes a checkpoint of a fold, with all data to predict with it; `soup` names averaged runs."""
    table, known, side = setting.loaded.table, setting.classes_of(fold), setting.side_of(fold)
    provenance = CheckpointProvenance(
        run=setting.run.name,
        fold=fold,
        classes=table.classes,
        class_counts=known.counts,
        class_groups=tuple(table.class_groups),
        class_factors=tuple(map(tuple, table.class_factors)),
        class_levels=table.class_levels,
        total=known.total,
        target=table.target,
        means=known.means,
        scales=known.scales,
        target_range=known.target_range,
        config=setting.resolve_config(),
        asked=setting.requested_precision.config(),
        normalisation=setting.techniques.parts.backbone.normalisation(),
        columns=() if side is None else tuple(side.encoder.to_json()),
        folds=setting.folds.fingerprint(),
        versions=versions(),
        machine={"host": platform.node(), "device": str(setting.device)},
        soup=tuple(soup),
    )
    return checkpoints.save(setting.run.fold(fold), number, weights, average, state, provenance, step)


class CheckpointWriter:
    """Writes one checkpoint at a time in a thread. The next call raises an error of the thread.

    All calls come from one thread, which trains.
    """

    def __init__(self, device: torch.device) -> None:
        self.longest_s = 0.0  # seconds that a checkpoint took, from its copy until it was written
        self._device = device
        self._pool = _start_thread()
        self._pending: Future[None] | None = None

    @property
    def is_writing(self) -> bool:
        """Whether a checkpoint is not written yet."""
        return self._pending is not None and not self._pending.done()

    def save(self, values: Any, write: Write) -> None:
        """Waits for the previous checkpoint, copies the tensors of nested values, and has the copy written.

        If there is no thread or host memory is short, the values are written uncopied, before this returns.
        """
        self.wait()
        start = time.monotonic()
        is_short = memory.device_memory(torch.device("cpu")).free < SPARE_FACTOR * size(values)
        if self._pool is None or is_short:
            self._write(start, write, values)
        else:
            self._pending = self._pool.submit(self._write, start, write, copy_to_host(values, self._device))

    def _write(self, start: float, write: Write, values: Any) -> None:
        write(values)
        self.longest_s = max(self.longest_s, time.monotonic() - start)

    def raise_failure(self) -> None:
        """Raises the error of a checkpoint that could not be written, without waiting."""
        if self._pending is not None and self._pending.done():
            self.wait()

    def wait(self) -> None:
        """Waits until everything is written. Raises the error of the last checkpoint."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Ends the thread when its checkpoint is written, without raising its error."""
        if self._pool is not None:
            self._pool.shutdown()


def _start_thread() -> ThreadPoolExecutor | None:
    """Returns a pool with one running thread, because memory may be short later; None if it cannot be started."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
    try:
        pool.submit(int).result()
    except RuntimeError:  # can't start new thread
        return None
    return pool


def copy_to_host(values: Any, device: torch.device) -> Any:
    """Returns nested mappings and lists with their tensors copied to host memory.

    A GPU's copies are queued, then awaited.
    """
    copied = _copy(values)
    memory.wait_for(device)
    return copied


def _copy(values: Any) -> Any:
    if isinstance(values, Tensor):
        return _copy_tensor(values.detach())
    if isinstance(values, Mapping):
        return {key: _copy(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return type(values)(_copy(value) for value in values)
    return values


def _copy_tensor(tensor: Tensor) -> Tensor:
    if tensor.device.type != "cuda":
        return tensor.cpu() if tensor.device.type != "cpu" else tensor.clone()
    host = torch.empty_like(tensor, device="cpu", pin_memory=True)
    return host.copy_(tensor, non_blocking=True)
