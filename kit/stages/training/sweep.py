"""sweep: trains many experiments by one command, each an ordinary run, and compares their scores.

sweeps/NAME.json has the request. The same command continues the sweep; a different sweep of that name is
refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import is_safe_folder_name, read_json, write_json
from kit.core.progress import Progress, ResultOf, Work, stage
from kit.core.stopping import Stop
from kit.data.predictions import Predictions
from kit.data.table import Table, read_labelled_rows
from kit.errors import TIME_OVER, BusyError, ConfigError, KitError, StoppedError
from kit.evaluation.bootstrap import Gain, common_rows, compute_gains, gain_columns
from kit.evaluation.competition import Scoring, bind_rows, check_scoring
from kit.experiment.techniques import open_executor
from kit.kinds import Augmenter, Backbone, Loss, Metric, Optimizer, Pooling, Sampler, Scheduler, Splitter
from kit.runs.run import Run
from kit.stages.training.sweep_presets import preset_sets
from kit.stages.training.sweep_search import Search, check_optuna
from kit.stages.training.sweep_space import axis, expand_grid, find_changes
from kit.stages.training.train import train_run, train_runs

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
TASK = "sweep"
PRESET_SHARE = 0.9  # share of a preset's time
T = TypeVar("T")


@dataclass(frozen=True)
class SweepTrial:
    """One experiment of a sweep: its changes, and the result of its run."""

    run: str
    overrides: tuple[str, ...]
    changed: tuple[str, ...]  # of these, the settings that not all trials share
    score: float | None = None  # pooled, by the competition's metric; None if it failed
    score_std: float | None = None  # sample standard deviation over its folds (ddof 1)
    gain_of_best: Gain | None = None  # of the best trial over this one; None for the best itself
    failed: str = ""  # the error, in a line


@dataclass(frozen=True, repr=False)
class SweepResult(Displayed):
    """All trials, the best first, those that failed last."""

    name: str
    metric: str
    trials: tuple[SweepTrial, ...]

    @property
    def failed_trials(self) -> tuple[SweepTrial, ...]:
        """The trials that have no score."""
        return tuple(trial for trial in self.trials if trial.score is None)

    def _lines(self) -> list[str]:
        failed, best = self.failed_trials, self.trials[0] if self.trials else None
        count = f"{len(self.trials)} trial{'s' * (len(self.trials) != 1)}"
        lines = [f"sweep {self.name}: {count}" + (f", {len(failed)} failed" if failed else "")]
        if best is not None and best.score is not None:
            changes = " ".join(best.changed or best.overrides)
            lines.append(f"best: {best.run}, {self.metric} {best.score:.4f}: {changes}")
        return [*lines, *(f"{trial.run} failed: {trial.failed}" for trial in failed)]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per trial, the best first: its settings, score, spread over folds, and the best one's
        gain over it.
        """
        names = (
            "run",
            "settings",
            self.metric,
            "score_std",
            "gain_of_best",
            "gain_low",
            "gain_high",
            "failed",
        )
        rows = []
        for trial in self.trials:
            gains = gain_columns(trial.gain_of_best)
            gains["gain_of_best"] = gains.pop("gain")
            settings = " ".join(trial.changed or trial.overrides)
            scores = {self.metric: trial.score, "score_std": trial.score_std}
            rows.append({"run": trial.run, "settings": settings, **scores, **gains, "failed": trial.failed})
        return frame(rows, names)


@stage
def run_sweep(
    name: str,
    asked: Sequence[str],
    config_sets: Sequence[str] = (),
    trials: int | None = None,
    seed: int = 0,
    start: Path | str = ".",
    stop: Stop | None = None,
    executor: str | None = None,
    preset: str | None = None,
    seconds: int | None = None,
) -> Work[SweepResult]:
    """Trains every combination of `key=a,b`, or with `trials` the number of trials that a search suggests,
    also over `key=low..high`.

    `config_sets` are further sets of overrides, such as `"loss=cutmix epochs=20"`; the grid is tried with
    each. If a trial fails while it runs, it is reported, and the others continue.

    A `preset` gives the sets in place of `config_sets`. `seconds` is the time for all of them
    (sweep_presets.py), of which a tenth is reserved for the deadline of `stop`. With an executor, a grid's
    trials are trained together, and a search trains as many at a time as it has workers.

    Raises ConfigError before anything is trained: C05 for an invalid axis, C11 if another sweep has the name,
    C24 for a search without optuna, and the errors of an experiment's config.
    """
    given = () if executor is None else (f"executor={executor}",)
    space = Workspace.find(start, given)
    file = space.root / "sweeps" / f"{_check_name(name)}.json"
    if preset is not None:
        if config_sets or trials is not None:
            raise ConfigError(
                "--preset names its own trials", code="C05", hint="without --config-set and --trials"
            )
        config_sets = _read_sets(file) or preset_sets(
            Workspace.find(start, (*given, *asked)), preset, _for_trials(seconds)
        )
    axes, sets = [axis(text) for text in asked], [text.split() for text in config_sets]
    _remember(file, {"asked": list(asked), "each": list(config_sets), "trials": trials, "seed": seed})
    metric = Metric.open(space.competition.metric, space.root, "metric")
    if trials is None:
        plans = expand_grid(axes, sets)
        for plan in plans:
            _check(Workspace.find(start, (*given, *plan)))
        search = None
    else:
        if sets:
            raise ConfigError("--config-set is only for a grid, and --trials is a search", code="C05")
        check_optuna()
        search, plans = Search(file.with_suffix(".log"), axes, metric.higher_is_better, seed), []
    done: list[SweepTrial] = []
    count = len(plans) if search is None else int(trials or 0)
    together = _together(space, count, search is not None)
    for first in range(0, count, together):
        places = range(first, min(first + together, count))
        overrides = [plans[place] if search is None else search.ask(place, together) for place in places]
        begun = [SweepTrial(f"{name}-{at + 1:03d}", of, of) for at, of in zip(places, overrides, strict=True)]
        spaces = [Workspace.find(start, (*given, *of)) for of in overrides]
        work = ResultOf(
            _with_trials_left(_run_trials(spaces, begun, metric, stop), begun[0].run, count - first)
        )
        for step in work:
            share = len(places) * step.done / max(step.total, 1)
            yield replace(step, done=first + share, total=count) if step.task == "train" else step
        done += work.result
        for place, trial in zip(places, work.result, strict=True):
            if search is not None:
                search.tell(place, trial.score)
            yield Progress(TASK, place + 1, count, _line(trial), line=True)
    return _compare(space, name, metric, done)


def _for_trials(seconds: int | None) -> int | None:
    """Returns the part of a sweep's time that its trials are planned for, because estimates are inexact and
    the deadline is exact.
    """
    return None if seconds is None else max(1, int(PRESET_SHARE * seconds))


def _with_trials_left(work: Work[T], run: str, count: int) -> Work[T]:
    """Runs trials, of which `count` are left from `run` on. A StoppedError of the deadline names them."""
    try:
        return (yield from work)
    except StoppedError as error:
        if error.number != TIME_OVER:
            raise
        left = f"{count} trial{'s' * (count > 1)} left, from {run} on"
        raise error.replace(cases=[left, *(f"{run}: {case}" for case in error.cases)]) from error


def _check(space: Workspace) -> None:
    """Opens the techniques of an experiment. Raises PluginError and ConfigError, C45 for another metric."""
    check_scoring(space)
    for base in (Splitter, Sampler, Augmenter, Backbone, Pooling, Loss, Optimizer, Scheduler):
        space.experiment.open(base, space.root)


def _check_name(name: str) -> str:
    if not is_safe_folder_name(name) or "@" in name:
        raise ConfigError(f"{name!r} is not a valid name for a sweep", code="C13")
    return name


def _read_sets(file: Path) -> list[str]:
    """Returns the sets of overrides of a started sweep, because a new measurement would give other epochs."""
    try:
        return list(dict(read_json(file)).get("each", []))
    except (ValueError, TypeError, OSError):
        return []


def _remember(file: Path, asked: Mapping[str, Any]) -> None:
    """Writes the request. Raises ConfigError C11 if the file has another sweep."""
    try:
        known = dict(read_json(file))
    except FileNotFoundError:
        write_json(file, {"schema": SCHEMA, **asked})
        return
    except (ValueError, TypeError, OSError):
        known = {}
    more = {**known, "trials": asked["trials"]} if known.get("trials") and asked["trials"] else known
    if more != {"schema": SCHEMA, **asked}:
        raise ConfigError(
            f"{file.name} belongs to another sweep: {' '.join(known.get('asked', ['?']))}",
            code="C11",
            hint="use another name; the same sweep with more --trials continues",
        )
    write_json(file, {"schema": SCHEMA, **asked})


def _together(space: Workspace, count: int, is_search: bool) -> int:
    """Returns how many trials are trained at the same time."""
    if space.experiment.executor is None or count == 0:
        return 1
    return open_executor(space, space.experiment.device).parallelism(count) if is_search else count


def _run_trials(
    spaces: Sequence[Workspace], begun: Sequence[SweepTrial], metric: Metric, stop: Stop | None
) -> Work[list[SweepTrial]]:
    """Trains experiments to their ends, or finds them finished."""
    if spaces[0].experiment.executor is not None:
        asked = [(space, trial.run) for space, trial in zip(spaces, begun, strict=True)]
        came = yield from train_runs(asked, None, stop)
    else:
        came = [(yield from _alone(spaces[0], begun[0].run, stop))]
    if busy := [error for error in came if isinstance(error, BusyError)]:
        raise busy[0]
    return [_with_score(trial, one, metric) for trial, one in zip(begun, came, strict=True)]


def _alone(space: Workspace, run: str, stop: Stop | None) -> Work[Run | KitError]:
    """Trains one experiment, in this process."""
    try:
        return (yield from train_run.with_progress(space, run, None, stop))
    except StoppedError:
        raise
    except KitError as error:
        return error
    except Exception as error:  # a team's own code may raise anything, and the other trials continue
        return KitError(f"{type(error).__name__}: {error}")


def _with_score(trial: SweepTrial, came: Run | KitError, metric: Metric) -> SweepTrial:
    """Returns a trial with its result."""
    if isinstance(came, KitError):
        return replace(trial, failed=f"{came.code} {came.summary}".strip())
    provenance = _oof(came).provenance
    name = metric.plugin_name()
    folds = [scores[name] for scores in provenance.require_fold_scores().values() if name in scores]
    return replace(
        trial,
        score=provenance.require_scores().get(name),
        score_std=float(np.std(folds, ddof=1)) if len(folds) > 1 else None,
    )


def _oof(run: Run) -> Predictions:
    return Predictions.read(run.predictions("plain") / "oof.parquet")


def _line(trial: SweepTrial) -> str:
    came = f"{trial.score:.4f}" if trial.score is not None else f"failed: {trial.failed or 'no score'}"
    return f"{trial.run}: {' '.join(trial.overrides)}: {came}"


def _compare(space: Workspace, name: str, metric: Metric, done: Sequence[SweepTrial]) -> SweepResult:
    """Returns the trials, the best first, each with the best one's gain over it on the rows that both predict."""
    parts = find_changes([trial.overrides for trial in done])
    told = [replace(trial, changed=part) for trial, part in zip(done, parts, strict=True)]
    sign = -1.0 if metric.higher_is_better else 1.0
    found = [trial for trial in told if trial.score is not None]
    scored = sorted(found, key=lambda trial: sign * (trial.score or 0.0))
    if len(scored) > 1:
        table = read_labelled_rows(space.root, space.competition.data)
        scoring = Scoring.of(space, table)
        best = scoring.answers(_oof(Run(space.runs / scored[0].run)), table)[0]
        scored = [
            scored[0],
            *(replace(t, gain_of_best=_gain(space, scoring, table, best, t)) for t in scored[1:]),
        ]
    return SweepResult(
        name, metric.plugin_name(), (*scored, *(trial for trial in told if trial.score is None))
    )


def _gain(space: Workspace, scoring: Scoring, table: Table, best: Predictions, trial: SweepTrial) -> Gain:
    """Returns the best trial's gain over another, paired; `best` are predictions of answers."""
    other = scoring.answers(_oof(Run(space.runs / trial.run)), table)[0]
    rows, one, two = common_rows(best, other, table.by_answer)
    (found,) = compute_gains(
        bind_rows(scoring.metric, rows), rows.targets(), one, {trial.run: two}, rows.groups
    )
    return found
