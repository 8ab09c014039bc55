"""The section on runs: each run's settings, scores, curves and cost, from its records and logs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kit.config.origins import flatten
from kit.errors import DataError, KitError
from kit.kinds import Metric
from kit.runs.epoch_log import EpochLog
from kit.runs.records import Record
from kit.runs.run import Run
from kit.stages.reporting.facts import EpochCurve, Missing, TrainedRun

EVERY = 10**9  # epochs: the whole log
COUNTED = ("epoch", "step")  # keys of a line that are not curves


def run_rows(records: Sequence[Record], metric: Metric) -> tuple[TrainedRun, ...] | Missing:
    """Returns the runs, the best by the metric first; those without a score last."""
    if not records:
        return Missing("no run has been trained", "kit train --name first")
    settings = find_differing_settings([_read_request(record.run) for record in records])
    rows = [_run_row(record, differs) for record, differs in zip(records, settings, strict=True)]
    name, sign = metric.plugin_name(), 1.0 if metric.higher_is_better else -1.0
    return tuple(sorted(rows, key=lambda run: (name not in run.scores, -sign * run.scores.get(name, 0.0))))


def _run_row(record: Record, differs: Mapping[str, str]) -> TrainedRun:
    logs = {fold: _lines(record.run, fold) for fold in range(record.folds)}
    lines = [line for log in logs.values() for line in log]
    speeds, memory = _numbers(lines, "images_per_second"), _numbers(lines, "memory_mib")
    return TrainedRun(
        name=record.run.name,
        started=_start_time(record.run),
        network=record.network,
        image_size=record.image_size,
        epochs=record.epochs,
        folds=record.folds,
        done=len(record.done),
        state=record.state,
        differs=differs,
        scores=numeric_names(record.scores),
        rows=row_count(fold_numbers(record.run), record.done),
        images_per_second=statistics.median(speeds) if speeds else None,
        memory_mib=round(max(memory)) if memory else None,
        left_out=round(sum(_numbers(lines, "left_out"))),
        curves=tuple(_curve(fold, log) for fold, log in logs.items() if log),
    )


def _read_request(run: Run) -> Mapping[str, Any]:
    try:
        request = run.manifest.get("asked")
    except KitError:
        return {}
    return request if isinstance(request, Mapping) else {}


def _start_time(run: Run) -> str:
    try:
        return str(run.manifest.get("started", ""))
    except KitError:
        return ""


def _lines(run: Run, fold: int) -> list[dict[str, Any]]:
    logged = EpochLog.read(run.fold(fold) / "log.jsonl", EVERY).lines
    return [line for line in logged if isinstance(line["epoch"], int)]


def _numbers(lines: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    numbers = (_number(line.get(name)) for line in lines)
    return [value for value in numbers if value is not None]


def _curve(fold: int, lines: Sequence[Mapping[str, Any]]) -> EpochCurve:
    names = dict.fromkeys(name for line in lines for name in line if name not in COUNTED)
    values = {name: tuple(_number(line.get(name)) for line in lines) for name in names}
    return EpochCurve(fold, tuple(int(line["epoch"]) for line in lines), values)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def fold_numbers(run: Run) -> np.ndarray:
    """Returns which folds hold out each row, (rows, repeats); empty if the run does not have them."""
    try:
        return run.folds().numbers
    except (DataError, OSError, ValueError):
        return np.empty((0, 1), np.int64)


def row_count(numbers: np.ndarray, folds: Sequence[int]) -> int:
    """Returns how many rows these folds hold out."""
    return int(np.isin(numbers, list(folds)).any(axis=1).sum())


def numeric_names(values: Any) -> dict[str, float]:
    """Returns the names in a file that have numbers."""
    numbers = {name: _number(value) for name, value in values.items()} if isinstance(values, Mapping) else {}
    return {str(name): value for name, value in numbers.items() if value is not None}


def find_differing_settings(requests: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Returns the settings in which several experiments differ, for each experiment.

    A run with other settings, such as a soup, lists those and leaves out the settings that it lacks.
    """
    dotted = [
        {key: str(value) for key, value in flatten(request).items() if value != {}} for request in requests
    ]
    usual = max(
        (frozenset(request) for request in requests),
        key=[frozenset(request) for request in requests].count,
        default=frozenset(),
    )
    apart = set()
    for key in {key for request in dotted for key in request}:
        section = key.partition(".")[0]
        values = {
            request.get(key, "") for request, whole in zip(dotted, requests, strict=True) if section in whole
        }
        if len(values) > 1 or section not in usual:
            apart.add(key)
    return [{key: request[key] for key in sorted(apart & request.keys())} for request in dotted]
