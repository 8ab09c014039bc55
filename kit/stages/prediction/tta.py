"""tta: predicts from several views of every image, for the test set and for each fold's held-out rows.

All folds predict every test row, and the checkpoint that never saw it predicts every out-of-fold row, through
the same views. So a blend is fitted on the same kind of predictions. Each image is read once for all folds,
runs and views of one geometry.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kit.config.workspace import Workspace
from kit.core.display import Displayed, frame
from kit.core.files import StrPath, remove_partial_files
from kit.core.progress import Progress, ResultOf, Work, stage
from kit.core.stopping import SLOW_DISK_BYTES_PER_S, TIME_OVER_TEXT, Stop
from kit.data.predictions import Predictions, Provenance
from kit.data.table import Table, rows_to_predict, table_of, train_table
from kit.device.precision import DEVICE, choose_device, device_line
from kit.errors import TIME_OVER, ConfigError, StoppedError
from kit.evaluation.bootstrap import Gain, format_gain, gain_columns
from kit.evaluation.competition import Scoring, gain_over_plain
from kit.experiment.loading import (
    Loaded,
    RunCheckpoints,
    check_reading,
    check_rows_unchanged,
    find_targets,
    geometry,
    load_rows,
)
from kit.experiment.prediction_file import (
    PredictionFile,
    PredictionJob,
    Split,
    load_for_prediction,
    prediction_batches,
    same_experiment,
    warn_of_changed,
)
from kit.experiment.techniques import open_executor
from kit.images.cache import Geometry
from kit.kinds import Executor, Views
from kit.model import checkpoints, network
from kit.model.predict import Merge, Predictor, open_views, predict_shared
from kit.runs.run import prediction_provenance
from kit.stages.prediction.parallel import predict_in_parallel, stop_of_pass

if TYPE_CHECKING:
    import pandas as pd

TASK = "tta"
WhichRows = Literal["test", "train", "both"]
MAX_WEIGHT_BYTES = 4 * 2**30  # bytes of weights that predict together; larger sums make another pass


@dataclass(frozen=True, repr=False)
class TtaResult(Displayed):
    """TTA's result for one run: the member's name for `kit blend`, its files, and its out-of-fold scores."""

    member: str
    folder: Path
    folds: tuple[int, ...]
    views: int
    scores: Mapping[str, float]
    plain: Mapping[str, float]  # the scores without views, of the same rows if all folds took part
    gain: Gain | None  # over plain, by the metric; None for plain itself, and if training left no such rows
    computed: bool  # False: the predictions existed

    def _lines(self) -> list[str]:
        scores = "  ".join(f"{name} {value:.4f}" for name, value in self.scores.items())
        gain = f"; over plain {format_gain(self.gain)}" if self.gain is not None else ""
        state = "" if self.computed else " (reused)"
        return [f"{self.member}{state}: {scores or 'no row was held out, so there is no score'}{gain}"]

    def to_frame(self) -> pd.DataFrame:
        """Returns one row: the member, its views and folds, its scores, and the gain over plain."""
        row = {"member": self.member, "views": self.views, "folds": len(self.folds), **self.scores}
        return frame([row | gain_columns(self.gain)])


@stage
def tta(
    workspace: Workspace | StrPath,
    paths: StrPath | Sequence[StrPath],
    views: Any = "plain",
    merge: Merge = "mean",
    device: str = "auto",
    rows: WhichRows = "test",
    stop: Stop | None = None,
    bn_adapt: int | None = None,
) -> Work[list[TtaResult]]:
    """Predicts with the checkpoints of runs, folds or single checkpoint folders, and writes parquet.

    `rows` are predicted in addition to held-out rows: test rows, the rows that each fold trained on, for
    distillation, or both. If the config names no rows to predict, there are no test rows. If `stop` is
    requested, the finished predictions are saved and StoppedError is raised, R05 or R27; the same call
    continues. `bn_adapt` adapts batch norm to the predicted rows, and counts training's statistics as this
    many rows.

    Raises ConfigError for paths and views, CheckpointError for damaged or unfitting ones, DataError for images.
    """
    (results,) = yield from predict_view_sets.with_progress(
        workspace, paths, [views], merge, device, rows, stop, bn_adapt
    )
    return results


@stage
def predict_view_sets(
    workspace: Workspace | StrPath,
    paths: StrPath | Sequence[StrPath],
    sets: Sequence[Any],
    merge: Merge = "mean",
    device: str = "auto",
    rows: WhichRows = "test",
    stop: Stop | None = None,
    bn_adapt: int | None = None,
) -> Work[list[list[TtaResult]]]:
    """Predicts by several sets of views in one pass, and returns the results of each set, one per run."""
    workspace = Workspace.of(workspace)
    opened = [Views.open(views, workspace.root, "views") for views in sets]
    choose_device(device, workspace.experiment.executor is not None)  # before the tables are read
    if bn_adapt is not None and workspace.experiment.executor is not None:
        raise ConfigError(
            "--bn-adapt needs all rows of a network together, and an executor splits them",
            code="C90",
            hint="executor=null",
        )
    targets = find_targets(workspace, paths)
    with ExitStack() as stack:
        for run in {target.run.folder: target.run for target in targets}.values():
            stack.enter_context(run.lock())
        context = _TtaContext.open(workspace, device, stop or Stop(), bn_adapt)
        jobs = [context.job(target, views, merge) for views in opened for target in targets]
        groups, results, devices = group_by_geometry(jobs), dict[int, TtaResult](), set[str]()
        for number, group in enumerate(groups):
            later = [jobs[at].member for others in groups[number + 1 :] for at in others]
            work = ResultOf(context.predict([jobs[at] for at in group], rows, later))
            for step in work:
                if step.task == DEVICE:  # most groups and workers have the same
                    if step.detail in devices:
                        continue
                    devices.add(step.detail)
                # one bar for the whole command; filling the cache has its own
                yield replace(step, done=(number + step.done) / len(groups)) if step.task == TASK else step
            results |= dict(zip(group, work.result, strict=True))
    return [[results[n * len(targets) + at] for at in range(len(targets))] for n in range(len(opened))]


def views_name(views: Views, merge: Merge, suffix: str = "", bn_adapt: int | None = None) -> str:
    """Returns the folder of a set of views, with the merge if it is not the mean, with the rows of `bn_adapt`,
    and with the suffix of an earlier checkpoint.
    """
    adapted = "" if bn_adapt is None else f"-bn{bn_adapt}"
    return views.slug() + ("-geometric" if merge == "geometric" else "") + adapted + suffix


def group_by_geometry(jobs: Sequence[PredictionJob]) -> list[list[int]]:
    """Returns which jobs share a pass over the images: those of one geometry, as long as their networks are
    not large.
    """
    weights = {path: checkpoints.weight(path) for job in jobs for path in job.checkpoints.values()}
    groups: dict[tuple[Any, ...], list[list[int]]] = {}
    for at, job in enumerate(jobs):
        experiment = job.experiment
        bags = None if experiment.instances is None else (experiment.instances["max_instances"],)
        shape = geometry(experiment), experiment.image_size, experiment.center_crop, bags
        same = groups.setdefault(shape, [[]])
        paths = {path for n in (*same[-1], at) for path in jobs[n].checkpoints.values()}
        if same[-1] and sum(weights[path] for path in paths) > MAX_WEIGHT_BYTES:
            same.append([])
        same[-1].append(at)
    return [group for same in groups.values() for group in same]


@dataclass(frozen=True, eq=False)
class _TtaContext:
    """The state that all jobs of a command share."""

    workspace: Workspace
    train: Table
    test: Table
    scoring: Scoring
    device: str
    executor: Executor | None  # None: in this process, in which all networks share one pass over the images
    stop: Stop
    bn_adapt: int | None = None  # rows that training's statistics count as; None: no adaptation

    @classmethod
    def open(cls, workspace: Workspace, device: str, stop: Stop, bn_adapt: int | None = None) -> _TtaContext:
        """Opens the competition's tables and metric."""
        data = workspace.competition.data
        train = train_table(workspace.root, data).sort_by_id()
        test = rows_to_predict(workspace, data, train.classes)
        return cls(
            workspace,
            train,
            test,
            Scoring.of(workspace, train),
            device,
            open_executor(workspace, device) if workspace.experiment.executor else None,
            stop,
            bn_adapt,
        )

    def job(self, target: RunCheckpoints, views: Views, merge: Merge) -> PredictionJob:
        """Returns the job of one run after checks: its classes and rows are the tables', its network takes
        the views.
        """
        space, run = self.workspace, target.run
        name = views_name(views, merge, target.epoch_suffix, self.bn_adapt)
        train = table_of(run.folder, self.train, space.competition.data)
        experiment = same_experiment(run, target.folds, train)
        parts = network.open_parts(experiment, space.root, network.classes_from_table(train))
        chosen = open_views(views, experiment.image_size, parts.backbone.input_size())
        others = [size for size in views.sizes(experiment.image_size) if size != experiment.image_size]
        network.check_view_sizes(parts.without_pretrained().backbone, views.plugin_name(), others)
        provenance = replace(
            prediction_provenance(run, name, merge, train, [views, *parts.without_pretrained().all()]),
            spec=views.spec(),
            bn_adapt=self.bn_adapt,
            checkpoints={str(fold): checkpoints.tag(path) for fold, path in target.folds.items()},
        )
        warn_of_changed(run, provenance.plugins)
        remove_partial_files(run.predictions(name))
        folds = run.folds()
        check_rows_unchanged(run, folds, train)
        check_reading(run, space.competition.data)
        loading = experiment.model_copy(update={"workers": space.experiment.workers})
        return PredictionJob(
            space,
            run,
            name,
            views,
            chosen,
            merge,
            loading,
            target.folds,
            folds,
            self.scoring,
            provenance,
            train,
        )

    def predict(
        self, jobs: Sequence[PredictionJob], which_rows: WhichRows = "test", later: Sequence[str] = ()
    ) -> Work[list[TtaResult]]:
        """Predicts jobs of one geometry: one pass over the images of each split, the out-of-fold rows first.

        `later` names the members that come after these, for the error of a stop.
        """
        splits = yield from self.stop.cut(
            self._load_splits(geometry(jobs[0].experiment), which_rows),
            lambda: StoppedError(f"{TIME_OVER_TEXT}: stopped before a row was predicted", TIME_OVER),
        )
        passes = [[self._begin_file(job, split, loaded) for job in jobs] for split, loaded in splits]
        networks = self._load_networks([file for files in passes for file in files])
        yield from device_lines(networks.values(), self.workspace)
        total, done = sum(_count_predictions(files) for files in passes), 0
        written: list[Sequence[Provenance]] = []
        for files in passes:
            if self.bn_adapt is not None:
                networks = yield from self.stop.cut(
                    self._adapt_networks(files, done / max(total, 1)),
                    lambda: StoppedError(
                        f"{TIME_OVER_TEXT}: stopped while batch norm was adapted; finished rows are saved",
                        TIME_OVER,
                    ),
                )
            try:
                for step in self._until_stop(files, networks):
                    yield replace(step, done=(done + step.done) / total, total=1)
            except StoppedError as error:
                for file in files:
                    file.write_unfinished()
                left = [file for files in passes for file in files if file.count_left()]
                cases = [*map(_describe_left, left), *(f"{name}: all rows" for name in later)]
                raise error.replace(cases=cases) from error
            done += _count_predictions(files)
            for text in describe_predictions(files):
                yield Progress(TASK, done / total, 1, text, line=True)
            written.append([file.write() for file in files])
        computed = [any(files[index].predictions for files in passes) for index in range(len(jobs))]
        return [self._result(*work) for work in zip(jobs, written[0], computed, strict=True)]

    def _until_stop(self, files: Sequence[PredictionFile], networks: Mapping[Path, Predictor]) -> Work[None]:
        """Runs a pass. Raises StoppedError after the batch at which a stop is requested."""
        deadline, since = self.stop.deadline, time.monotonic()
        if deadline is not None:
            size = 4 * len(files[0].prior) * _count_predictions(files)
            deadline.longest_save_s = max(deadline.longest_save_s, size / SLOW_DISK_BYTES_PER_S)
        with self.stop.at_step_boundary(), closing(self._predict_pass(files, networks)) as work:
            for step in work:
                yield step
                if deadline is not None:
                    deadline.longest_step_s = max(deadline.longest_step_s, time.monotonic() - since)
                since = time.monotonic()
                # with an executor, its workers are asked to stop
                number = 0 if self.executor is not None else self.stop.requested
                if number and any(file.count_left() for file in files):
                    raise stop_of_pass(number)

    def _load_splits(self, shape: Geometry, which_rows: WhichRows) -> Work[list[tuple[Split, Loaded]]]:
        """Returns the images of each split to predict, the out-of-fold rows first."""
        train = yield from load_rows(self.workspace, self.train, "train", shape)
        splits: list[tuple[Split, Loaded]] = [("oof", train)]
        if len(self.test) and which_rows != "train":
            splits.append(("test", (yield from load_rows(self.workspace, self.test, "test", shape))))
        return splits if which_rows == "test" else [*splits, ("train", train)]

    def _predict_pass(
        self, files: Sequence[PredictionFile], networks: Mapping[Path, Predictor]
    ) -> Work[None]:
        if self.executor:
            return predict_in_parallel(self.executor, files, self.device, self.stop)
        return predict_groups(files, networks)

    def _begin_file(self, job: PredictionJob, split: Split, loaded: Loaded) -> PredictionFile:
        return PredictionFile.begin(job, split, job.as_named(loaded), (job.train or self.train).prior())

    def _load_networks(self, files: Sequence[PredictionFile]) -> dict[Path, Predictor]:
        """Returns the networks of all folds to predict here, by checkpoint; an executor's jobs load their own."""
        if self.executor or self.bn_adapt is not None:
            return {}
        paths = dict.fromkeys(file.job.checkpoints[fold] for file in files for fold in file.folds_to_predict)
        return {path: self._load_network(path) for path in paths}

    def _adapt_networks(self, files: Sequence[PredictionFile], done: float) -> Work[dict[Path, Predictor]]:
        """Loads the networks of a pass, and adapts their batch norm to the rows of its split."""
        from kit.stages.prediction.bn_adapt import load_adapted

        device = choose_device(self.device)
        work = ResultOf(load_adapted(files, self.workspace.root, device, self.bn_adapt or 0, TASK))
        for step in work:
            yield replace(step, done=done)
        if files[0].split == "oof":
            yield from device_lines(work.result.values(), self.workspace)
        return work.result

    def _load_network(self, path: Path) -> Predictor:
        return load_for_prediction(path, self.workspace.root, choose_device(self.device))

    def _result(self, job: PredictionJob, provenance: Provenance, computed: bool) -> TtaResult:
        used = tuple(int(fold) for fold in provenance.checkpoints)
        oof = Predictions.read(job.folder / "oof.parquet")
        return TtaResult(
            f"runs/{job.member}",
            job.folder,
            used,
            len(job.views),
            provenance.require_scores(),
            *gain_over_plain(
                job.run.predictions("plain") / "oof.parquet", oof, job.scoring, job.train or self.train
            ),
            computed,
        )


def device_lines(networks: Iterable[Predictor], workspace: Workspace) -> Iterator[Progress]:
    """Yields a line for each device, dtype and memory format that networks predict in."""
    workers = workspace.experiment.workers
    for device, precision in dict.fromkeys((loaded.device, loaded.precision) for loaded in networks):
        yield device_line(device, precision, workers, trains=False)


def _describe_left(file: PredictionFile) -> str:
    """Returns the remaining work of a file, in rows times networks."""
    whole = _count_predictions([file])
    return f"{file.job.member} {file.split}: {file.count_left():,} of {whole:,} predictions left"


def _count_predictions(files: Sequence[PredictionFile]) -> int:
    """Returns the rows times networks of a pass."""
    return sum(len(file.rows(fold)) for file in files for fold in file.folds_to_predict)


def predict_groups(
    sheets: Sequence[PredictionFile], networks: Mapping[Path, Predictor], fill_prior: bool = False
) -> Work[None]:
    """Predicts the missing rows of files of one split: each image is read once. `done` counts rows times networks.

    With `fill_prior` rows have the class prior until they are predicted, so the generator may be closed at
    any step.
    """
    sheets_and_readers = [
        (sheet, fold, sheet.reader(fold, networks[sheet.job.checkpoints[fold]]))
        for sheet in sheets
        for fold in sheet.folds_to_predict
    ]
    if fill_prior:
        for sheet in sheets:
            for predictions in sheet.predictions.values():
                predictions.probabilities[:] = sheet.prior
    readers = [reader for _, _, reader in sheets_and_readers if len(reader.rows)]
    if not readers:
        return
    rows = np.unique(np.concatenate([reader.rows for reader in readers]))
    split, loaded, experiment = sheets[0].split, sheets[0].loaded, sheets[0].job.experiment
    largest = experiment.model_copy(update={"batch_size": max(reader.batch_size for reader in readers)})
    device, bags = readers[0].predictor.device, sheets[0].bags
    batches = prediction_batches(loaded, largest, rows, device, None, None, bags)
    members_text = ", ".join(dict.fromkeys(sheet.job.member for sheet, _, _ in sheets_and_readers))
    try:
        yield from predict_shared(readers, batches, TASK, f"{members_text} {split}")
    finally:
        batches.close()


def describe_predictions(sheets: Sequence[PredictionFile]) -> list[str]:
    """Returns what was predicted: a line per run and fold of training rows, a line per run of test rows."""
    lines = []
    for sheet in sheets:
        count = len(sheet.job.views)
        for fold in sheet.folds_to_predict:
            where = "" if sheet.split == "test" else f" fold {fold}"
            if rows := len(sheet.rows(fold)):
                views = f"{count} view{'s' * (count > 1)}"
                lines.append(f"{sheet.job.member} {sheet.split}{where}: {rows} rows, {views}")
    return list(dict.fromkeys(lines))
