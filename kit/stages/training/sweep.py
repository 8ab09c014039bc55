"""sweep: trains many experiments by one command, each an ordinary run, and compares their scores.

sweeps/NAME.json has the request. The same command continues the sweep; a different sweep of that name is
refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import is_safe_folder_name, read_json, write_json
from kit.core.progress import Progress, ResultOf, Work, stage
from kit.core.stopping import Stop
from kit.data.predictions import Predictions
from kit.data.table import Table, read_labelled_rows
from kit.errors import TIME_OVER, ConfigError, StoppedError
from kit.evaluation.bootstrap import Gain, common_rows, compute_gains, gain_columns
from kit.evaluation.competition import Scoring, bind_rows, check_scoring
from kit.experiment.techniques import open_executor
from kit.kinds import Augmenter, Backbone, Loss, Metric, Optimizer, Pooling, Sampler, Scheduler, Splitter
from kit.runs.run import Run
from kit.stages.training.sweep_presets import preset_sets
from kit.stages.training.sweep_pruning import check_pruner
from kit.stages.training.sweep_rounds import TASK, SweepRounds
from kit.stages.training.sweep_search import Search, check_optuna
from kit.stages.training.sweep_space import axis, expand_grid, find_changes
from kit.stages.training.sweep_trials import SweepTrial, read_oof, train_trials, with_score

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
PRESET_SHARE = 0.9  # share of a preset's time
T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class SweepResult(Displayed):
    """All trials, the best first, those that failed last."""

    name: str
    metric: str
    trials: tuple[SweepTrial, ...]

    budget: int | None = None  # epochs of all folds of all trials; None without a pruner

    @property
    def failed_trials(self) -> tuple[SweepTrial, ...]:
        """The trials that have no score, although they were not pruned."""
        return tuple(trial for trial in self.trials if trial.score is None and not trial.pruned)

    @property
    def pruned_trials(self) -> tuple[SweepTrial, ...]:
        """The trials that were stopped early."""
        return tuple(trial for trial in self.trials if trial.pruned)

    @property
    def epochs(self) -> int | None:
        """The epochs that were trained over all folds of all trials; None without a pruner."""
        return None if self.budget is None else sum(trial.epochs or 0 for trial in self.trials)

    def _lines(self) -> list[str]:
        failed, pruned = self.failed_trials, self.pruned_trials
        best = self.trials[0] if self.trials else None
        count = f"{len(self.trials)} trial{'s' * (len(self.trials) != 1)}"
        counts = [count, *[f"{len(pruned)} pruned"] * bool(pruned), *[f"{len(failed)} failed"] * bool(failed)]
        lines = [f"sweep {self.name}: {', '.join(counts)}"]
        if self.budget is not None:
            lines.append(f"{self.epochs} of {self.budget} epochs trained")
        if best is not None and best.score is not None:
            changes = " ".join(best.changed or best.overrides)
            lines.append(f"best: {best.run}, {self.metric} {best.score:.4f}: {changes}")
        return [*lines, *(f"{trial.run} failed: {trial.failed}" for trial in failed)]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per trial, the best first: its settings, score, spread over folds, and the best one's
        gain over it.

        A pruned trial has no score: `pruned_at` is the mean score of its finished folds, or of its first one so far.
        """
        names = (
            "run",
            "settings",
            self.metric,
            "score_std",
            "gain_of_best",
            "gain_low",
            "gain_high",
            "pruned_at",
            "epochs",
            "pruned",
            "failed",
        )
        rows = []
        for trial in self.trials:
            gains = gain_columns(trial.gain_of_best)
            gains["gain_of_best"] = gains.pop("gain")
            settings = " ".join(trial.changed or trial.overrides)
            scores = {self.metric: trial.score, "score_std": trial.score_std}
            ended = {
                "pruned_at": trial.pruned_at,
                "epochs": trial.epochs,
                "pruned": trial.pruned,
                "failed": trial.failed,
            }
            rows.append({"run": trial.run, "settings": settings, **scores, **gains, **ended})
        return frame(rows, names)


@stage
def run_sweep(
    name: str,
    axis_texts: Sequence[str],
    config_sets: Sequence[str] = (),
    trials: int | None = None,
    seed: int = 0,
    start: Path | str = ".",
    stop: Stop | None = None,
    executor: str | None = None,
    preset: str | None = None,
    seconds: int | None = None,
    pruner: str | None = None,
    stop_folds: bool = False,
) -> Work[SweepResult]:
    """Trains every combination of `key=a,b`, or with `trials` the number of trials that a search suggests,
    also over `key=low..high`.

    `config_sets` are further sets of overrides, such as `"loss=cutmix epochs=20"`; the grid is tried with
    each. If a trial fails while it runs, it is reported, and the others continue.

    A `preset` gives the sets in place of `config_sets`. `seconds` is the time for all of them
    (sweep_presets.py), of which a tenth is reserved for the deadline of `stop`. With an executor, a grid's
    trials are trained together, and a search trains as many at a time as it has workers.

    A `pruner` (sweep_pruning.py) stops trials after a part of their epochs. With `stop_folds`, a trial is stopped
    if the paired interval of its gain over the best other trial is below 0 on the rows of its finished folds.

    Raises ConfigError before anything is trained: C05 for an invalid axis or pruner, C11 if another sweep has the
    name, C24 for a search or a pruner without optuna. It also raises the errors of an experiment's config.
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
            Workspace.find(start, (*given, *axis_texts)), preset, _for_trials(seconds)
        )
    if pruner is not None:
        check_pruner(pruner)
    early: dict[str, Any] = {"pruner": pruner} if pruner else {}
    if stop_folds:
        early["stop_folds"] = True
    axes, sets = [axis(text) for text in axis_texts], [text.split() for text in config_sets]
    _remember(
        file, {"asked": list(axis_texts), "each": list(config_sets), "trials": trials, "seed": seed, **early}
    )
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
    rounds = SweepRounds(space, name, metric, pruner, stop_folds, stop) if early else None
    # halving compares all trials of a grid at each rung; the median rule compares with finished ones
    is_one_round = rounds is not None and search is None and pruner != "median"
    together = count if is_one_round else _together(space, count, search is not None or pruner == "median")
    for first in range(0, count, together):
        places = range(first, min(first + together, count))
        overrides = [plans[number] if search is None else search.ask(number, together) for number in places]
        begun = [SweepTrial(f"{name}-{at + 1:03d}", of, of) for at, of in zip(places, overrides, strict=True)]
        spaces = [Workspace.find(start, (*given, *of)) for of in overrides]
        training = (
            _train_whole(spaces, begun, metric, stop)
            if rounds is None
            else rounds.train(spaces, begun, search is not None)
        )
        work = ResultOf(_with_trials_left(training, begun[0].run, count - first))
        for step in work:
            share = len(places) * step.done / max(step.total, 1)
            is_share = step.task in ("train", TASK)
            yield replace(step, done=first + share, total=count) if is_share else step
        done += [trial for trial, _ in work.result]
        for number, (trial, reports) in zip(places, work.result, strict=True):
            if search is not None:
                search.tell(number, trial.score, reports if trial.pruned else None)
            if not trial.pruned:
                yield Progress(TASK, number + 1, count, _line(trial), line=True)
    return _compare(space, name, metric, done, None if rounds is None else rounds.budget)


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


def _remember(file: Path, request: Mapping[str, Any]) -> None:
    """Writes the request. Raises ConfigError C11 if the file has another sweep."""
    try:
        known = dict(read_json(file))
    except FileNotFoundError:
        write_json(file, {"schema": SCHEMA, **request})
        return
    except (ValueError, TypeError, OSError):
        known = {}
    more = {**known, "trials": request["trials"]} if known.get("trials") and request["trials"] else known
    if more != {"schema": SCHEMA, **request}:
        raise ConfigError(
            f"{file.name} belongs to another sweep: {' '.join(known.get('asked', ['?']))}",
            code="C11",
            hint="use another name; the same sweep with more --trials continues",
        )
    write_json(file, {"schema": SCHEMA, **request})


def _together(space: Workspace, count: int, is_search: bool) -> int:
    """Returns how many trials are trained at the same time."""
    if space.experiment.executor is None or count == 0:
        return 1
    return open_executor(space, space.experiment.device).parallelism(count) if is_search else count


def _train_whole(
    spaces: Sequence[Workspace], begun: Sequence[SweepTrial], metric: Metric, stop: Stop | None
) -> Work[list[tuple[SweepTrial, dict[int, float]]]]:
    """Trains experiments to their ends, or finds them finished. None of them has reports for a pruner."""
    outcomes = yield from train_trials(spaces, [trial.run for trial in begun], stop)
    return [(with_score(trial, outcome, metric), {}) for trial, outcome in zip(begun, outcomes, strict=True)]


def _line(trial: SweepTrial) -> str:
    score_text = f"{trial.score:.4f}" if trial.score is not None else f"failed: {trial.failed or 'no score'}"
    return f"{trial.run}: {' '.join(trial.overrides)}: {score_text}"


def _compare(
    space: Workspace, name: str, metric: Metric, done: Sequence[SweepTrial], budget: int | None
) -> SweepResult:
    """Returns the trials, the best first, each with the best one's gain over it on the rows that both predict.

    Pruned trials follow, the longest trained first, then failed ones.
    """
    parts = find_changes([trial.overrides for trial in done])
    trials = [replace(trial, changed=part) for trial, part in zip(done, parts, strict=True)]
    sign = -1.0 if metric.higher_is_better else 1.0
    scored_trials = [trial for trial in trials if trial.score is not None]
    scored = sorted(scored_trials, key=lambda trial: sign * (trial.score or 0.0))
    if len(scored) > 1:
        table = read_labelled_rows(space.root, space.competition.data)
        scoring = Scoring.of(space, table)
        best = scoring.answers(read_oof(Run(space.runs / scored[0].run)), table)[0]
        scored = [
            scored[0],
            *(replace(t, gain_of_best=_gain(space, scoring, table, best, t)) for t in scored[1:]),
        ]
    pruned = sorted((trial for trial in trials if trial.pruned), key=lambda trial: -(trial.epochs or 0))
    failed = [trial for trial in trials if trial.score is None and not trial.pruned]
    return SweepResult(name, metric.plugin_name(), (*scored, *pruned, *failed), budget)


def _gain(space: Workspace, scoring: Scoring, table: Table, best: Predictions, trial: SweepTrial) -> Gain:
    """Returns the best trial's gain over another, paired; `best` are predictions of answers."""
    other = scoring.answers(read_oof(Run(space.runs / trial.run)), table)[0]
    rows, best_rows, two = common_rows(best, other, table.by_answer)
    (gain,) = compute_gains(
        bind_rows(scoring.metric, rows), rows.targets(), best_rows, {trial.run: two}, rows.groups
    )
    return gain
