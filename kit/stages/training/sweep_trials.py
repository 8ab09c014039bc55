"""sweep_trials: one experiment of a sweep, and several of them trained to a share of their budget or to their ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kit.config.workspace import Workspace
from kit.core.progress import ResultOf, Work
from kit.core.stopping import Stop
from kit.data.predictions import Predictions
from kit.device.ranks import ALONE
from kit.errors import BusyError, KitError, StoppedError
from kit.evaluation.bootstrap import Gain
from kit.kinds import Metric
from kit.runs.run import Run
from kit.stages.training.train import train_run, train_runs


@dataclass(frozen=True)
class SweepTrial:
    """One experiment of a sweep: what it changes, and how its run came out."""

    run: str
    overrides: tuple[str, ...]
    changed: tuple[str, ...]  # of these, what not all trials share
    score: float | None = None  # pooled, by the competition's metric; None if it failed or was pruned
    score_std: float | None = None  # sample standard deviation over its folds (ddof 1)
    gain_of_best: Gain | None = None  # of the best trial over this one; None for the best itself
    failed: str = ""  # the error, in a line
    pruned: str = ""  # where and why it was stopped early, in a line; its folds are not all scored
    pruned_at: float | None = None  # the mean score of the folds that it had finished, or of its first one
    epochs: int | None = None  # trained over all folds; None without a pruner


def train_trials(
    spaces: Sequence[Workspace], runs: Sequence[str], stop: Stop | None, share: float | None = None
) -> Work[list[Run | KitError]]:
    """Trains experiments to their ends, or to a share of their budget. One that fails is its error.

    Raises BusyError for a run that another process trains.
    """
    if spaces[0].experiment.executor is not None:
        requests: list[tuple[Workspace, str | None]] = list(zip(spaces, runs, strict=True))
        outcomes = yield from train_runs(requests, None, stop, ALONE, share)
    else:
        outcomes = []
        for index, (space, run) in enumerate(zip(spaces, runs, strict=True)):
            work = ResultOf(_train_here(space, run, stop, share))
            for step in work:
                done = index + step.done / max(step.total, 1)
                yield replace(step, done=done, total=len(runs)) if step.task == "train" else step
            outcomes.append(work.result)
    if busy := [error for error in outcomes if isinstance(error, BusyError)]:
        raise busy[0]
    return outcomes


def _train_here(space: Workspace, run: str, stop: Stop | None, share: float | None) -> Work[Run | KitError]:
    """Trains one experiment in this process."""
    try:
        return (yield from train_run.with_progress(space, run, None, stop, ALONE, share))
    except StoppedError:
        raise
    except KitError as error:
        return error
    except Exception as error:  # a team's own code may raise anything, and the other trials continue
        return KitError(f"{type(error).__name__}: {error}")


def with_score(trial: SweepTrial, outcome: Run | KitError, metric: Metric) -> SweepTrial:
    """Returns a trial with the score of its finished run, or with its error."""
    if isinstance(outcome, KitError):
        return replace(trial, failed=f"{outcome.code} {outcome.summary}".strip())
    provenance = read_oof(outcome).provenance
    name = metric.plugin_name()
    folds = [scores[name] for scores in provenance.require_fold_scores().values() if name in scores]
    return replace(
        trial,
        score=provenance.require_scores().get(name),
        score_std=float(np.std(folds, ddof=1)) if len(folds) > 1 else None,
    )


def read_oof(run: Run) -> Predictions:
    """Reads the out-of-fold predictions of a run's finished folds."""
    return Predictions.read(run.predictions("plain") / "oof.parquet")
