"""Timing: a run's time on all rows, estimated from the log of its cross-validation; no torch."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kit.config.models import Experiment
from kit.data.folds import Folds
from kit.runs.epoch_log import scores_of
from kit.runs.run import Run
from kit.runs.watching import epochs_of

PREDICTION_MARGIN = 3.0  # ratio of images per second to training if nothing was validated: no backward pass


@dataclass(frozen=True)
class Pace:
    """Measured seconds: of each epoch on all rows, and of one row by one view. `machine` is where, if that is known."""

    epochs: tuple[float, ...]
    seconds_per_row: float
    machine: Mapping[str, str]

    def note(self, device: str) -> str:
        """Returns a note if the times were measured on another machine or device than this, or if that is unknown."""
        if not self.machine:
            return "measured on an unknown machine"
        host, on = self.machine["host"], self.machine["device"]
        same = host == platform.node() and on.partition(":")[0] == device.partition(":")[0]
        return (
            "" if same else (f"measured on {host} ({on}), but this machine is {platform.node()} ({device})")
        )


def measure_pace(run: Run, experiment: Experiment, machine: Mapping[str, str]) -> Pace | None:
    """Returns a run's timing, by all of its folds that have logged every epoch; None if no fold has.

    An epoch trains a number of steps at a number of images per second; on all rows it has more steps. The
    rest of an epoch's time is its validation, which gives the prediction time.
    """
    folds, batches = run.folds(), _batches(experiment)
    seconds_by_epoch, rows = [], []
    for fold in range(folds.count):
        lines = epochs_of(run, fold)
        if [line["epoch"] for line in lines] != list(range(1, len(batches) + 1)):
            continue
        train = _training_seconds(lines, batches)
        seconds_by_epoch.append([seconds * _growth(folds, fold) for seconds in train])
        rows += _a_row(lines, train, int(folds.oof_mask(fold).sum()))
    if not seconds_by_epoch:
        return None
    epochs = tuple(float(value) for value in np.mean(seconds_by_epoch, axis=0))
    guess = sum(epochs) / len(epochs) / len(folds.ids) / PREDICTION_MARGIN
    return Pace(epochs, float(np.median(rows)) if rows else guess, dict(machine))


def _batches(experiment: Experiment) -> list[int]:
    """Returns the rows of a step in each epoch."""
    return [part.batch_rows() for stage, part in experiment.plan() for _ in range(stage.epochs or 0)]


def _training_seconds(lines: Sequence[Mapping[str, Any]], batches: Sequence[int]) -> list[float]:
    """Returns the seconds of each epoch without its validation."""
    steps = np.diff([0, *(int(line["step"]) for line in lines)])
    speeds = [max(float(line["images_per_second"]), 1e-9) for line in lines]
    return [float(count) * size / speed for count, size, speed in zip(steps, batches, speeds, strict=True)]


def _growth(folds: Folds, fold: int) -> float:
    """Returns the ratio of all rows to a fold's training rows, approximately: purged rows count as trained on."""
    return len(folds.ids) / max(len(folds.ids) - int(folds.oof_mask(fold).sum()), 1)


def _a_row(lines: Sequence[Mapping[str, Any]], train: Sequence[float], held_out: int) -> list[float]:
    """Returns the seconds per held-out row in each validated epoch."""
    return [
        max(float(line["seconds"]) - seconds, 0.0) / held_out
        for line, seconds in zip(lines, train, strict=True)
        if held_out and scores_of(line)
    ]


@dataclass(frozen=True)
class BestEpoch:
    """The epoch whose held-out rows have the best mean score over the folds, beside the last one's score."""

    epoch: int
    score: float
    last: float


def best_epoch(run: Run, metric: str, higher_is_better: bool) -> BestEpoch | None:
    """Returns the best epoch of cross-validation if it is not the last; also None if not all epochs were scored."""
    logs = [epochs_of(run, fold) for fold in range(run.folds().count)]
    logs = [lines for lines in logs if lines]
    if not logs or any(metric not in line for lines in logs for line in lines):
        return None
    if len({len(lines) for lines in logs}) > 1:
        return None
    means = np.mean([[float(line[metric]) for line in lines] for lines in logs], axis=0)
    best = int(means.argmax() if higher_is_better else means.argmin())
    if means[best] == means[-1]:
        return None
    return BestEpoch(best + 1, float(means[best]), float(means[-1]))
