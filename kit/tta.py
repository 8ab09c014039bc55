"""tta: predictions from several views of every image, for the test set and for each fold's held-out rows alike.

Every test row is predicted by all folds, every out-of-fold row by the checkpoint that never saw it, both through
the same views, so that a blend is fitted on like with like.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kit import checkpoints, network
from kit.blending.gains import Gain
from kit.checkpoints import Checkpoint
from kit.config import Experiment
from kit.errors import CheckpointError, DataError, KitWarning
from kit.folds import Folds
from kit.kinds import Metric, Views
from kit.precision import choose_device
from kit.predict import Merge, Predictor, View, open_views, predicting
from kit.predictions import Predictions, ids_fingerprint
from kit.progress import Outcome, Progress, Work, finish
from kit.runs.kept import kept, tags
from kit.runs.loading import Loaded, geometry, loading
from kit.runs.restore import experiment_of, restore
from kit.runs.run import Run
from kit.runs.scoring import beside_plain, described, joined, scored
from kit.runs.setting import plain_batches
from kit.runs.targets import Target, find_targets
from kit.table import Table, test_table, train_table
from kit.workspace import Workspace

TASK = "tta"


@dataclass(frozen=True)
class Predicted:
    """What tta made of one run: the member's name for `kit blend`, its files, and its out-of-fold scores."""

    member: str
    folder: Path
    folds: tuple[int, ...]
    views: int
    scores: Mapping[str, float]
    plain: Mapping[str, float]  # the scores without views, of the same rows where all folds took part
    gain: (
        Gain | None
    )  # over plain, by the metric; None for plain itself, and where training left no such rows
    computed: bool  # False: it was there already


def tta(
    workspace: Workspace | Path | str, paths: Sequence[str | Path], views: Any = "plain", merge: Merge = "mean",
    device: str = "auto",
) -> list[Predicted]:  # fmt: skip
    """Predicts with the checkpoints of runs, folds or single checkpoint folders, and writes parquet.

    Raises ConfigError for paths and views, CheckpointError for damaged or unfitting ones, DataError for images.
    """
    space = workspace if isinstance(workspace, Workspace) else Workspace.find(workspace)
    return finish(predicting_views(space, paths, views, merge, device))


def predicting_views(
    workspace: Workspace,
    paths: Sequence[str | Path],
    views: Any = "plain",
    merge: Merge = "mean",
    device: str = "auto",
) -> Work[list[Predicted]]:
    """tta, with its progress."""
    opened = Views.open(views, workspace.root, "views")
    place = choose_device(device)
    targets, made = find_targets(workspace, paths), []
    for number, target in enumerate(targets):
        with target.run.locked():
            work = Outcome(_run(workspace, target, opened, merge, place))
            for step in work:  # one bar for the whole command; filling the cache has its own
                yield replace(step, done=(number + step.done) / len(targets)) if step.task == TASK else step
            made.append(work.result)
    return made


def views_name(views: Views, merge: Merge, suffix: str = "") -> str:
    """The folder of a set of views, of a merge that is not the mean, and of an earlier checkpoint."""
    return views.called() + ("-geometric" if merge == "geometric" else "") + suffix


def _run(
    workspace: Workspace, target: Target, views: Views, merge: Merge, device: torch.device
) -> Work[Predicted]:
    """Predicts with one run's checkpoints; what is there of them already, and would be the same, is kept."""
    run, name = target.run, views_name(views, merge, target.suffix)
    train = train_table(workspace.root, workspace.competition.data).sorted_by_id()
    test = test_table(workspace.root, workspace.competition.data, train.classes)
    loaded = {fold: checkpoints.load(path) for fold, path in target.folds.items()}
    experiment = _same_experiment(run, loaded, train)
    parts = network.open_parts(experiment, workspace.root, network.classes_of(train))
    chosen = open_views(views, experiment.image_size, parts.backbone.fixed_size())
    about = described(
        run, name, merge, train, [views, *parts.bare().all()], workspace.competition.data.average_group
    )
    about |= {"checkpoints": {str(fold): checkpoints.tag(path) for fold, path in target.folds.items()}}
    _warn_of_changed(run, about["plugins"])
    folds = run.folds()
    _check_rows(run, folds, train)
    job = _Job(
        workspace, run, name,
        experiment.model_copy(update={"workers": workspace.experiment.workers}),
        {fold: restore(checkpoint, workspace.root, device) for fold, checkpoint in loaded.items()},
        chosen, merge, Metric.open(workspace.competition.metric, workspace.root, "metric"),
        sum(int(folds.held_out(fold).sum()) for fold in loaded) + len(test) * len(loaded),
    )  # fmt: skip
    oof, fresh = yield from job.held_out(train, folds, {**about, "rows": "oof", "folds": folds.fingerprint()})
    whole = {**about, "rows": "test", "ids": ids_fingerprint(test.ids)}
    fresh_test = yield from job.test(test, train.counts() / len(train), whole)
    used = tuple(int(fold) for fold in oof.about["checkpoints"])
    return Predicted(
        f"runs/{run.name}@{name}", job.folder, used, len(chosen), oof.about["scores"],
        *beside_plain(run, oof, job.metric, train), fresh or fresh_test,
    )  # fmt: skip


@dataclass(frozen=True)
class _Job:
    """What both splits of a run are predicted with, and where the predictions go."""

    workspace: Workspace
    run: Run
    views_name: str
    experiment: Experiment
    predictors: Mapping[int, Predictor]
    views: Sequence[View]
    merge: Merge
    metric: Metric
    units: int  # rows times networks, of both splits

    @property
    def folder(self) -> Path:
        """Where the predictions go."""
        return self.run.predictions(self.views_name)

    @property
    def member(self) -> str:
        """The member as people write it, `r@d4`."""
        return f"{self.run.name}@{self.views_name}"

    def held_out(
        self, table: Table, folds: Folds, about: Mapping[str, Any]
    ) -> Work[tuple[Predictions, bool]]:
        """Each fold's held-out rows by its own checkpoint, written; and whether any had to be computed."""
        loaded = yield from loading(self.workspace, table, "train", geometry(self.experiment))
        about = {**about, "images": loaded.fingerprint()}
        parts = kept(self.folder / "oof.parquet", about, self.run)
        missing = [fold for fold in self.predictors if fold not in parts]
        done = 0
        for fold in missing:
            rows = np.flatnonzero(folds.held_out(fold) & ~loaded.bad)
            (found,) = yield from self._predict(loaded, rows, [fold], f"{self.member} oof fold {fold}", done)
            done += len(rows)
            parts[fold] = self._part(table, rows, fold, self._averaged(table, rows, found), about)
        # scored whether kept or not: the labels and the metric may be others
        return self._written("oof", parts, about, bool(missing), table), bool(missing)

    def test(self, table: Table, prior: np.ndarray, about: Mapping[str, Any]) -> Work[bool]:
        """Every test row by every fold, each image read once; rows without an image get the class prior."""
        loaded = yield from loading(self.workspace, table, "test", geometry(self.experiment))
        about = {**about, "images": loaded.fingerprint()}
        parts = kept(self.folder / "test.parquet", about, self.run)
        missing = [fold for fold in self.predictors if fold not in parts]
        good = np.flatnonzero(~loaded.bad)
        begun = self.units - len(table) * len(self.predictors)
        found = (
            (yield from self._predict(loaded, good, missing, f"{self.member} test", begun)) if missing else []
        )
        for fold, probabilities in zip(missing, found, strict=True):
            whole = np.tile(prior.astype(np.float32), (len(table), 1))
            whole[good] = self._averaged(table, good, probabilities)
            parts[fold] = self._part(table, np.arange(len(table)), fold, whole, about)
        self._written("test", parts, about, bool(missing))
        return bool(missing)

    def _part(
        self, table: Table, rows: np.ndarray, fold: int, probabilities: np.ndarray, about: Mapping[str, Any]
    ) -> Predictions:
        made = {"checkpoints": {str(fold): about["checkpoints"][str(fold)]}}
        several = self.predictors[fold].multi_label
        folds = np.full(len(rows), fold)
        return Predictions(table.ids[rows], folds, table.classes, probabilities, made, several)

    def _written(
        self, split: str, parts: Mapping[int, Predictions], about: Mapping[str, Any], fresh: bool,
        table: Table | None = None,
    ) -> Predictions:  # fmt: skip
        """The folds' predictions as one file, with their scores where a table has the truth."""
        file = self.folder / f"{split}.parquet"
        whole = joined([parts[fold] for fold in sorted(parts)], {**about, "checkpoints": tags(parts)})
        if table is not None:
            whole = scored(whole, self.metric, table)
        if fresh or Predictions.read(file).about != whole.about:
            whole.write(file)
        return whole

    def _predict(
        self, loaded: Loaded, rows: np.ndarray, folds: Sequence[int], what: str, begun: int
    ) -> Work[list[np.ndarray]]:
        """Probabilities by the networks of some folds, after `begun` units of the run's work."""
        if not len(rows):
            return [np.empty((0, len(loaded.table.classes)), np.float32) for _ in folds]
        batches = plain_batches(loaded, self.experiment, rows)
        models = [self.predictors[fold] for fold in folds]
        work = Outcome(predicting(models, batches, self.views, self.merge, len(rows), what))
        try:
            for step in work:
                share = (begun + step.done * len(folds)) / self.units
                yield Progress(TASK, share, 1, f"{what}, {step.detail}")
        finally:
            batches.close()
        yield Progress(TASK, share, 1, f"{what}: {len(rows)} rows, {step.detail}", line=True)
        return work.result

    def _averaged(self, table: Table, rows: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """The mean over rows of equal `data.average_group`, where the table has that column; a blank is no group."""
        column = self.workspace.competition.data.average_group
        if column is None or column not in table.frame.columns:
            return probabilities
        names = table.frame[column].to_numpy()[rows].astype(str)
        _, group = np.unique(names, return_inverse=True)
        blank = np.char.strip(names) == ""
        group[blank] = group.max(initial=-1) + 1 + np.arange(blank.sum())
        _, group = np.unique(group, return_inverse=True)
        sums = np.zeros((group.max(initial=-1) + 1, probabilities.shape[1]))
        np.add.at(sums, group, probabilities)
        return (sums / np.bincount(group)[:, None])[group].astype(np.float32)


def _same_experiment(run: Run, loaded: Mapping[int, Checkpoint], table: Table) -> Experiment:
    """The experiment of a run's checkpoints. Raises CheckpointError D53 where one was made for other classes."""
    for checkpoint in loaded.values():
        if tuple(checkpoint.about["classes"]) != table.classes:
            raise CheckpointError(
                f"{checkpoint.path} was trained for {len(checkpoint.about['classes'])} classes, "
                f"the table has {len(table.classes)}, or they are others",
                code="D53",
                hint=f"train {run.name} again under another --name",
            )
    return experiment_of(next(iter(loaded.values())))


def _warn_of_changed(run: Run, plugins: Mapping[str, str]) -> None:
    """Warns (W14) of plugins whose source is not what the run was trained with."""
    began = run.manifest.get("made_from", {}).get("plugins", {})
    changed = [name for name, mark in plugins.items() if began.get(name, mark) != mark]
    if changed:
        text = f"W14 {', '.join(changed)} changed since {run.name} was trained, which predicts with what is there"
        warnings.warn(KitWarning(text), stacklevel=2)


def _check_rows(run: Run, folds: Folds, table: Table) -> None:
    """Raises DataError D60 where the table's rows are not those that the run's folds were made of."""
    if folds.ids.tolist() != table.ids.tolist():
        raise DataError(
            f"the training table has {len(table)} rows, {run.name} was trained on {len(folds.ids)}, or they are others",
            code="D60",
            hint=f"put the table back, or train {run.name} again under another --name",
        )
