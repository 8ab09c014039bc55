"""sweep_rounds: trains the trials of a sweep share by share of their budget, and stops some of them early.

The budget of a trial is all epochs of all folds, one fold after another. All trials of a round train up to the same
share of it, pause there with a checkpoint, and report. The decisions depend only on the logs and predictions of the
folds, so an interrupted sweep decides the same again.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kit.config.workspace import Workspace
from kit.core.files import fingerprint
from kit.core.progress import Progress, Work
from kit.core.stopping import Stop
from kit.data.folds import make_folds
from kit.data.predictions import Predictions, Provenance, concat_predictions
from kit.data.table import Table, read_labelled_rows, train_table
from kit.errors import KitError, KitWarning
from kit.evaluation.bootstrap import Gain, common_rows, compute_gains, format_gain
from kit.evaluation.competition import Scoring, bind_rows
from kit.experiment.auto_groups import write_auto_groups
from kit.kinds import Metric, Splitter
from kit.runs.records import mark_pruned
from kit.runs.run import Run, check_same_experiment, is_finished
from kit.runs.watching import epochs_of
from kit.stages.training.pausing import has_reached, pause_point
from kit.stages.training.sweep_pruning import Looks, Reports, find_earliest_look, plan_looks, prunes
from kit.stages.training.sweep_trials import SweepTrial, train_trials, with_score

TASK = "sweep"


@dataclass(eq=False)
class _Trial:
    """A trial while it is trained: its budget, and what it has reported."""

    space: Workspace
    trial: SweepTrial
    folds: int
    steps_per_epoch: int  # of its first fold
    reports: dict[int, float] = field(default_factory=dict)  # by the pruner's step
    came: Run | KitError | None = None  # None while it is trained, and once it is pruned
    finished_folds: int = 0
    value: float | None = None  # the last report
    where: str = ""  # it has paused, in words

    @property
    def run(self) -> Run:
        """The folder of its run."""
        return Run(self.space.runs / self.trial.run)

    @property
    def epochs(self) -> int:
        """The epochs of a fold."""
        return self.space.experiment.epochs

    @property
    def is_open(self) -> bool:
        """Whether it is neither finished nor failed nor pruned."""
        return self.came is None and not self.trial.pruned

    def epochs_trained(self) -> int:
        """The logged epochs of all folds."""
        return sum(len(epochs_of(self.run, fold)) for fold in range(self.folds))

    def to_reports(self) -> Reports:
        """Returns its reports for a pruner."""
        if self.is_open:
            return Reports(self.reports)
        return Reports(self.reports, "finished" if isinstance(self.came, Run) else "pruned")


class SweepRounds:
    """Trains the trials of a sweep together, or one after another, and stops some of them early."""

    def __init__(
        self,
        root: Workspace,
        name: str,
        metric: Metric,
        pruner: str | None,
        stop_folds: bool,
        stop: Stop | None,
    ) -> None:
        self.root, self.name, self.metric, self.stop = root, name, metric, stop
        self.pruner, self.stop_folds = pruner, stop_folds
        self._looks: Looks | None = None
        self._earlier: list[_Trial] = []
        self._fold_counts: dict[str, tuple[int, int]] = {}
        self._scored: tuple[Scoring, Table] | None = None

    def train(
        self, spaces: Sequence[Workspace], begun: Sequence[SweepTrial], is_search: bool
    ) -> Work[list[tuple[SweepTrial, dict[int, float]]]]:
        """Trains trials at the same time, and returns each with its reports by step."""
        trials = []
        for space, trial in zip(spaces, begun, strict=True):
            folds, steps = yield from self._count_folds(space)
            trials.append(_Trial(space, trial, folds, steps))
        begin = 0.0
        for share in self._shares(trials, is_search):
            alive = [running for running in trials if running.is_open]
            yield from _rescale(self._advance(alive, share), begin, share)
            begin = share
            alive = [running for running in alive if running.is_open]
            for running in alive:
                self._report(running, share)
            # a run that was trained by hand meanwhile costs nothing more
            reasons = [
                "" if is_finished(running.run) else self._reason(running, trials, share) for running in alive
            ]
            for running, reason in zip(alive, reasons, strict=True):
                if reason:
                    yield self._prune(running, reason, share)
        yield from _rescale(
            self._advance([running for running in trials if running.is_open], None), begin, 1.0
        )
        self._earlier += trials
        return [(self._result(running), running.reports) for running in trials]

    @property
    def budget(self) -> int:
        """The epochs of all folds of all trials so far."""
        return sum(trial.folds * trial.epochs for trial in self._earlier)

    def _count_folds(self, space: Workspace) -> Work[tuple[int, int]]:
        """Returns the folds of a trial, and the steps of an epoch of its first one; 1 and 1 if they cannot be made.

        Training a trial without folds raises their error. A sampler that draws more or fewer rows is not counted.
        """
        experiment, data = space.experiment, space.competition.data
        key = fingerprint([experiment.splitter, experiment.split_seed, data.model_dump(mode="json")])
        if key not in self._fold_counts:
            try:
                yield from write_auto_groups(space)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", KitWarning)  # shown where the trial is prepared
                    table = train_table(space.root, data).sort_by_id()
                    splitter = experiment.open(Splitter, space.root)
                    folds = make_folds(table, splitter, experiment.split_seed)
                    self._fold_counts[key] = folds.count, int(folds.training_mask(splitter, 0).sum())
            except KitError:
                return 1, 1
        count, rows = self._fold_counts[key]
        return count, math.ceil(rows / experiment.batch_rows())

    def _shares(self, trials: Sequence[_Trial], is_search: bool) -> list[float]:
        """The shares of the budget after which the trials pause, ascending."""
        shares: set[float] = set()
        if self.pruner is not None:
            if self._looks is None:
                budget = min(trial.folds * trial.epochs for trial in trials)
                folds = max(trial.folds for trial in trials)
                earliest = max(
                    find_earliest_look(trial.steps_per_epoch, trial.epochs, trial.folds) for trial in trials
                )
                count = None if is_search else len(trials)
                self._looks = plan_looks(self.pruner, count, budget, folds, earliest)
            shares.update(self._looks.shares)
        if self.stop_folds:
            shares.update(fold / trial.folds for trial in trials for fold in range(1, trial.folds))
        return sorted(shares)

    def _advance(self, trials: Sequence[_Trial], share: float | None) -> Work[None]:
        """Trains each trial to a share of its budget; None: to its end."""
        missing = []
        for trial in trials:
            try:
                check_same_experiment(trial.run, trial.space.experiment)
            except KitError as error:
                trial.came = error
                continue
            if share is None or not has_reached(trial.run, *pause_point(share, trial.folds, trial.epochs)):
                missing.append(trial)
        if not missing:
            return
        outcomes = yield from train_trials(
            [trial.space for trial in missing], [trial.trial.run for trial in missing], self.stop, share
        )
        for trial, outcome in zip(missing, outcomes, strict=True):
            if share is None or isinstance(outcome, KitError):
                trial.came = outcome

    def _report(self, trial: _Trial, share: float) -> None:
        """Notes the mean score of the folds that a trial has finished, or before that of its first one so far."""
        fold, epoch = pause_point(share, trial.folds, trial.epochs)
        trial.finished_folds = fold + (epoch == trial.epochs)
        trial.where = f"in fold {fold} after epoch {epoch} of {trial.epochs}"
        fold_scores = [
            self._fold_score(trial.run, ended, trial.epochs) for ended in range(trial.finished_folds)
        ]
        if not fold_scores:
            fold_scores = [self._fold_score(trial.run, fold, epoch)]
        scores = [score for score in fold_scores if score is not None]
        trial.value = float(np.mean(scores)) if len(scores) == len(fold_scores) else None
        step = None if self._looks is None else self._looks.step(share)
        if step is not None and trial.value is not None:
            trial.reports[step] = trial.value

    def _fold_score(self, run: Run, fold: int, epoch: int) -> float | None:
        """A fold's logged score after an epoch; None if it was not validated or the score is not defined."""
        lines = [line for line in epochs_of(run, fold) if line["epoch"] == epoch]
        score = lines[-1].get(self.metric.plugin_name()) if lines else None
        return float(score) if isinstance(score, int | float) and math.isfinite(score) else None

    def _reason(self, trial: _Trial, trials: Sequence[_Trial], share: float) -> str:
        """Why a trial is stopped after a share, in words; empty if it continues."""
        others = [*self._earlier, *(other for other in trials if other is not trial)]
        step = None if self._looks is None else self._looks.step(share)
        if self.pruner is not None and step is not None and step in trial.reports:
            reports = [other.to_reports() for other in others]
            if prunes(self.pruner, self.metric.higher_is_better, reports, trial.reports):
                rule = "not in the better half" if self.pruner == "halving" else "worse than the median"
                return f"{trial.where}: {self.metric.plugin_name()} {trial.value:.4f} is {rule}"
        if self.stop_folds and trial.finished_folds:
            return self._excluded_gain(trial, others)
        return ""

    def _excluded_gain(self, trial: _Trial, others: Sequence[_Trial]) -> str:
        """Why the best of the other trials with the same folds cannot be beaten; empty if it may be."""
        folds = range(trial.finished_folds)
        rivals = [
            other
            for other in others
            if not isinstance(other.came, KitError)
            and other.folds == trial.folds
            and all(other.run.fold_predictions_file(fold).is_file() for fold in folds)
        ]
        if not rivals:
            return ""
        own, other_trials = self._answers(trial, folds), list[tuple[float, str, Predictions]]()
        for other in rivals:
            theirs = self._answers(other, folds)
            lead = self._lead(own, theirs)
            if lead is not None:
                other_trials.append((lead, other.trial.run, theirs))
        if not other_trials:
            return ""
        _, best, theirs = max(other_trials, key=lambda candidate: candidate[0])
        gain = self._gain(own, theirs, best)
        if gain.high is None or gain.high >= 0:
            return ""
        return f"after {len(folds)} of {trial.folds} folds: {format_gain(gain)} against {best}"

    def _answers(self, trial: _Trial, folds: range) -> Predictions:
        """A trial's out-of-fold predictions of answers in these folds."""
        parts = [Predictions.read(trial.run.fold_predictions_file(fold)) for fold in folds]
        scoring, table = self._read_scoring()
        return scoring.answers(concat_predictions(parts, Provenance()), table)[0]

    def _lead(self, own: Predictions, theirs: Predictions) -> float | None:
        """How much better others score than a trial on the rows that both predict; None if the score is undefined."""
        scoring, table = self._read_scoring()
        try:
            rows, own_rows, two = common_rows(own, theirs, table.by_answer)
            metric = bind_rows(scoring.metric, rows)
            lead = metric.score(rows.targets(), two) - metric.score(rows.targets(), own_rows)
        except KitError:
            return None
        return (lead if metric.higher_is_better else -lead) if math.isfinite(lead) else None

    def _gain(self, own: Predictions, theirs: Predictions, best: str) -> Gain:
        """The paired gain over the best trial on the rows that both predict."""
        scoring, table = self._read_scoring()
        rows, own_rows, two = common_rows(own, theirs, table.by_answer)
        metric = bind_rows(scoring.metric, rows)
        return compute_gains(metric, rows.targets(), own_rows, {best: two}, rows.groups)[0]

    def _read_scoring(self) -> tuple[Scoring, Table]:
        """The competition's metric and its training rows, read once."""
        if self._scored is None:
            table = read_labelled_rows(self.root.root, self.root.competition.data)
            self._scored = Scoring.of(self.root, table), table
        return self._scored

    def _prune(self, trial: _Trial, reason: str, share: float) -> Progress:
        """Marks a trial as pruned, in its run's folder too."""
        trial.trial = replace(trial.trial, pruned=reason, pruned_at=trial.value)
        mark_pruned(trial.run, self.name)
        text = f"{trial.trial.run}: {' '.join(trial.trial.overrides)}: pruned {reason}"
        return Progress(TASK, share, 1, text, line=True)

    def _result(self, running: _Trial) -> SweepTrial:
        """A trial with the epochs that it was trained, and its score if it is finished."""
        trial = replace(running.trial, epochs=running.epochs_trained())
        return trial if running.came is None else with_score(trial, running.came, self.metric)


def _rescale(work: Work[None], begin: float, end: float) -> Work[None]:
    """Work whose progress goes from one share of the budget to another."""
    for step in work:
        share = begin + (end - begin) * step.done / max(step.total, 1)
        yield replace(step, done=share, total=1) if step.task == "train" else step
