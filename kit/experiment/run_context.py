"""RunContext: the state that the folds of a run share, opened and loaded once.

All errors before training are raised here.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.core.progress import Progress, Work
from kit.core.stopping import Stop
from kit.data.column_encoder import ColumnEncoder, SideValues, check_columns, columns_digest
from kit.data.folds import Folds, make_folds
from kit.data.groups import AUTO_GROUP_FILES
from kit.data.table import Table, rename_classes, rows_to_predict, train_table
from kit.device.compiling import check_compiler
from kit.device.precision import Precision, choose_device, device_line, resolve_auto, warn_of_other_dtype
from kit.device.ranks import ALONE, Ranks
from kit.errors import DataError, KitWarning
from kit.evaluation.competition import Scoring
from kit.evaluation.unscored_folds import warn_of_unscored_folds
from kit.experiment.auto_groups import write_auto_groups
from kit.experiment.batch_size import check_room, largest_batch, scale_lr
from kit.experiment.loading import Loaded, geometry, load_rows
from kit.experiment.positives import describe_positives
from kit.experiment.rank_shares import check_ranks, describe_idle_gpus
from kit.experiment.sample_fit import warn_about_prediction
from kit.experiment.techniques import (
    OpenPlugins,
    check_row_weights,
    check_unlabelled,
    open_executor,
    open_techniques,
)
from kit.experiment.tracking import Trackers
from kit.experiment.training_data import (
    PseudoRows,
    TrainingData,
    add_unlabelled,
    add_weights,
    load_pseudo_rows,
    load_unlabelled,
)
from kit.experiment.warm_start import check_unseen, initial_checkpoint
from kit.kinds import Classes, Columns, Loss, Metric
from kit.kinds.executor import JobResult
from kit.model import network
from kit.runs.changes import check_unchanged
from kit.runs.row_checksums import RowChecksums
from kit.runs.run import Run, begin, provenance

if TYPE_CHECKING:
    from kit.engine.bag_batches import ImageBags


@dataclass(frozen=True)
class RunContext:
    """The opened and loaded state that the folds of a run share."""

    workspace: Workspace
    run: Run
    experiment: Experiment  # precision and layout resolved
    techniques: OpenPlugins
    scoring: Scoring
    loaded: Loaded
    folds: Folds
    precision: Precision
    device: torch.device
    trackers: Trackers
    pseudo_rows: PseudoRows | None = None  # by teachers, if the experiment names pseudo-labels
    unlabelled: Loaded | None = None  # the test rows, if a loss reads them
    rename: Mapping[str, str] = field(
        default_factory=dict
    )  # the data.label_from.rename with the names of the table's classes
    ranks: Ranks = ALONE  # the processes that train the run together
    image_bags: ImageBags | None = None  # of images that the network sees together; None: a row is one image
    side_by_fold: dict[int, SideValues] = field(default_factory=dict, compare=False, repr=False)

    @property
    def metric(self) -> Metric:
        """The competition's metric."""
        return self.scoring.metric

    @property
    def requested_precision(self) -> Precision:
        """The precision that the config requests, with its `auto`."""
        return Precision.of(self.workspace.experiment.model_dump())

    def config_for_workers(self) -> dict[str, Any]:
        """Returns the resolved config except the dtypes, because a worker chooses `auto` for its own device."""
        return {**self.resolve_config(), **self.requested_precision.config(), "executor": None}

    def device_line(self) -> Progress:
        """Returns the device of the run's training, in words."""
        return device_line(self.device, self.precision, self.experiment.workers, ranks=self.ranks.count)

    def training_rows(self, fold: int) -> np.ndarray:
        """Returns the positions of the rows that a fold's model trains on."""
        return np.flatnonzero(self.folds.training_mask(self.techniques.splitter, fold) & ~self.loaded.bad)

    def oof_rows(self, fold: int) -> np.ndarray:
        """Returns the positions of the rows that a fold's model predicts."""
        return np.flatnonzero(self.folds.oof_mask(fold) & ~self.loaded.bad)

    def training_data(self, fold: int, loss: Loss) -> TrainingData:
        """Returns the images and labels that a fold's model trains on, in the loss's form. Raises ConfigError C36."""
        own = TrainingData(self.loaded.cache, self.training_rows(fold), self.loaded.table.targets())
        if loss.weighs_rows:
            own = add_weights(own, self.loaded.table)
        if loss.reads_unlabelled and self.unlabelled is not None:
            ratio, strong, seed = loss.ratio, loss.strong, self.experiment.seed  # type: ignore[attr-defined]
            own = add_unlabelled(own, self.unlabelled, ratio, strong, seed, fold)
        return (
            own if self.pseudo_rows is None else self.pseudo_rows.add_to(own, self.loaded.table, fold, loss)
        )

    def loss_of(self, fold: int, loss: Loss) -> Loss:
        """Returns the loss with the scale of the numbers that a fold trains on."""
        return loss.with_classes(self.classes_of(fold))

    def classes_of(self, fold: int) -> Classes:
        """Returns the information about classes for a fold's loss."""
        if self.image_bags is not None:
            from kit.experiment.bags import bag_classes

            first = self.image_bags.first_rows
            return bag_classes(
                self.loaded.table, first(np.flatnonzero(~self.loaded.bad)), first(self.training_rows(fold))
            )
        return network.classes_from_table(self.loaded.table, self.training_rows(fold))

    def side_of(self, fold: int) -> SideValues | None:
        """Returns the side columns of all rows of the cache, as fitted on a fold's training rows. None: none used."""
        recipe = self.techniques.parts.columns
        if recipe is None:
            return None
        if fold not in self.side_by_fold:
            table = self.loaded.table
            encoder = fit_columns(self.workspace, table, self.training_rows(fold), recipe)
            side = encoder.encode(table, "train")
            if self.pseudo_rows is not None:
                side = side.join(encoder.encode(self.pseudo_rows.loaded.table, "test"))
            self.side_by_fold[fold] = side
        return self.side_by_fold[fold]

    def parts_of(self, fold: int) -> network.Parts:
        """Returns the parts of a fold's network, with its side columns."""
        side = self.side_of(fold)
        return self.techniques.parts.with_layout(None if side is None else side.encoder.layout)

    def columns_digest(self) -> str:
        """Returns the digest of the training rows' side columns or bags; empty if the network takes neither."""
        if self.image_bags is not None:
            return self.image_bags.digest()
        return self.digest_columns(self.loaded.table, "train")

    def digest_columns(self, table: Table, split: str) -> str:
        """Returns the digest of the side columns of a table's rows; empty if the network takes none."""
        if self.techniques.parts.columns is None:
            return ""
        return columns_digest(table, self.workspace.competition.data.columns, split)

    def pseudo_row_count(self, fold: int) -> int:
        """Returns how many test rows a fold's model also trains on.

        Raises ConfigError C36 if no teacher had the fold.
        """
        return 0 if self.pseudo_rows is None else len(self.pseudo_rows.rows(fold))

    @property
    def ids(self) -> np.ndarray:
        """The id of each row of the cache."""
        own = self.loaded.table.ids
        if self.unlabelled is not None:
            return np.concatenate([own, self.unlabelled.table.ids, self.unlabelled.table.ids])
        return own if self.pseudo_rows is None else np.concatenate([own, self.pseudo_rows.loaded.table.ids])

    def initial_checkpoint(self, fold: int) -> Path | None:
        """Returns the checkpoint that a fold starts from, if `init_from` names one. Raises as `warm_start` does."""
        path = self.experiment.init_from
        return None if path is None else initial_checkpoint(self.workspace, path, self.folds, fold)

    def check_starts(self, wanted: Sequence[int]) -> None:
        """Raises the errors of `initial_checkpoint`, and DataError D61 for initial weights that saw held-out rows."""
        weights = self.techniques.parts.backbone.initial_weights()
        if weights is not None:
            check_unseen(self.workspace, weights, self.loaded.table, self.folds, wanted)
        for fold in wanted:
            self.initial_checkpoint(fold)

    def provenance(self) -> dict[str, Any]:
        """Returns hashes of the rows, images, folds, plugins and versions."""
        more: dict[str, Any] = {} if self.pseudo_rows is None else {"pseudo": self.pseudo_rows.provenance()}
        if self.unlabelled is not None:
            more["unlabelled"] = self.unlabelled.fingerprint()
        if columns := self.columns_digest():
            more["columns" if self.image_bags is None else "bags"] = columns
        return (
            provenance(self.loaded.table, self.folds, self.loaded.fingerprint(), self.techniques.all()) | more
        )

    def row_checksums(self) -> RowChecksums:
        """Returns checksums of each training row's label, group and image."""
        return RowChecksums.of(self.loaded.table, self.loaded.cache.hashes)

    def begin(self, request: Mapping[str, Any]) -> None:
        """Writes the run's request, provenance, rows and folds."""
        if not self.run.is_started:
            begin(self.run, request, self.resolve_config(), self.provenance())
            self.row_checksums().write(self.run.folder)
        self.folds.write(self.run.folder / "folds.csv")

    def resolve_config(self) -> dict[str, Any]:
        """Returns config.json as the run uses it: with every default and every plugin's options."""
        specs: dict[str, Any] = {plugin.kind: plugin.model_dump() for plugin in self.techniques.of_config()}
        competition = self.workspace.competition.model_dump(mode="json")
        competition["data"]["label_from"]["rename"] = dict(self.rename)
        stages = (
            [stage.resolve_config() for stage in self.techniques.stages] if self.experiment.stages else []
        )
        return {**competition, **self.experiment.model_dump(mode="json"), **specs, "stages": stages}


def fit_columns(workspace: Workspace, table: Table, rows: np.ndarray, recipe: Columns) -> ColumnEncoder:
    """Returns the encoder of `data.columns`, fitted on these rows. Raises ConfigError C07, DataError D31."""
    data = workspace.competition.data
    return ColumnEncoder.fit(table, rows, data.columns, data.column_kinds, learns_missing=recipe.drop > 0)


def scratch_run(workspace: Workspace) -> Run:
    """Returns a run with a name that no run can have, so that nothing is reused or written."""
    return Run(workspace.runs / ".look")


def prepare_run(
    workspace: Workspace, run: Run, like: Run | None = None, ranks: Ranks = ALONE
) -> Work[RunContext]:
    """Opens every plugin, makes the folds and fills the cache; rank 0 before the other ranks.

    If the run was started, classes have its names and order, else those of the run `like`; not those of the
    present `data.label_from.rename`.

    Raises DataError D39 for a single class, D60 if the run was started with other data, plugins or versions.
    Raises RunError R06 if the run does not fit on the disk, ConfigError C35 if the config does not work on
    several ranks.
    """
    setting = yield from ranks.rank_zero_first(_open(workspace, run, like, ranks))
    if workspace.experiment.batch_size == "auto":
        setting = yield from _with_batch(setting)
    if ranks.count > 1:
        check_ranks(setting.techniques, ranks)
        rows = setting.experiment.batch_rows()
        if note := describe_idle_gpus(setting.techniques.optimizer, rows, ranks, setting.device):
            yield Progress("ranks", 1, 1, note, line=True)
    for stage in setting.techniques.stages if ranks.is_zero else ():
        if stage.loss.needs_positives:
            labels = setting.loaded.table.targets()[setting.training_rows(0)]
            if note := describe_positives(stage, labels):
                yield Progress("positives", 1, 1, note, line=True)
    return setting


def _open(workspace: Workspace, run: Run, like: Run | None, ranks: Ranks) -> Work[RunContext]:
    """Opens the parts of a run, the cheapest first, so that faults show before images are read."""
    experiment = workspace.experiment
    device = _check_requirements(workspace)
    has_trackers = ranks.is_zero and experiment.tracker is not None
    trackers = Trackers.open(experiment, workspace.root) if has_trackers else Trackers()
    if workspace.competition.data.group in AUTO_GROUP_FILES:
        yield from write_auto_groups(workspace)
    now = train_table(workspace.root, workspace.competition.data).sort_by_id()
    table, rename = name_classes(workspace, now, run if run.is_started or like is None else like)
    scoring = Scoring.of(workspace, table)
    techniques = open_techniques(workspace, network.classes_from_table(table), scoring.metric)
    losses = [stage.loss for stage in techniques.stages]
    check_row_weights(losses, table, experiment.pseudo_labels)
    if techniques.parts.instances is not None:
        from kit.experiment.bags import check_end_to_end, check_image_bags

        check_end_to_end(experiment, techniques, ranks.count)
        test = rows_to_predict(workspace, workspace.competition.data, table.classes)
        check_image_bags(workspace, table, test, scoring, techniques.parts.instances)
    reads_unlabelled = check_unlabelled(losses, workspace, ranks.count)
    techniques = with_columns(workspace, techniques, table)
    warn_about_prediction(workspace, now)
    folds = make_folds(table, techniques.splitter, experiment.split_seed)
    warn_of_unscored_folds(scoring.metric, table, folds)
    # a new run builds its network with its initial weights, so that their faults show before images are read
    is_new = like is None and not run.is_started
    parts = techniques.parts if is_new else techniques.parts.without_pretrained()
    precision = _choose_precision(workspace, run, techniques, parts, table, folds, device)
    loaded = yield from load_rows(workspace, table, "train", geometry(experiment))
    unlabelled = (yield from load_unlabelled(workspace, table)) if reads_unlabelled else None
    bags = None
    if techniques.parts.instances is not None:
        from kit.experiment.bags import find_bags

        bags = find_bags(loaded, techniques.parts.instances.max_instances, "training")
    pseudo_rows = None
    if experiment.pseudo_labels is not None:
        pseudo_rows = yield from load_pseudo_rows(workspace, table, folds, losses)
    setting = RunContext(
        workspace=workspace,
        run=run,
        experiment=experiment.model_copy(update=precision.config()),
        techniques=techniques,
        scoring=scoring,
        loaded=loaded,
        folds=folds,
        precision=precision,
        device=device,
        trackers=trackers,
        pseudo_rows=pseudo_rows,
        unlabelled=unlabelled,
        rename=rename,
        ranks=ranks,
        image_bags=bags,
    )
    check_rows(setting)
    if run.is_started:
        check_unchanged(run, setting.provenance(), setting.row_checksums())
    return setting


def with_columns(workspace: Workspace, techniques: OpenPlugins, table: Table) -> OpenPlugins:
    """Returns the techniques with the side columns of all rows, which give the network's size before a fold is fitted.

    Raises the errors of `check_columns`.
    """
    recipe = techniques.parts.columns
    if recipe is None:
        return techniques
    data = workspace.competition.data
    check_columns(table, rows_to_predict(workspace, data, table.classes), data)
    layout = fit_columns(workspace, table, np.arange(len(table)), recipe).layout
    return replace(techniques, parts=techniques.parts.with_layout(layout))


def _check_requirements(workspace: Workspace) -> torch.device:
    """Returns the device. Raises if this system lacks a requirement of the device, the compiler, the executor
    or the metric.
    """
    experiment = workspace.experiment
    device = choose_device(experiment.device, for_workers=experiment.executor is not None)
    if experiment.compile:
        check_compiler(device)
    open_executor(workspace, experiment.device)
    Metric.open(workspace.competition.metric, workspace.root, "metric")
    return device


def name_classes(workspace: Workspace, table: Table, run: Run) -> tuple[Table, Mapping[str, str]]:
    """Returns the table with the class names and order of a run, and the renaming. Raises DataError D39."""
    renamed, rename = rename_classes(run.folder, table, workspace.competition.data)
    if lack := renamed.target.find_lack(renamed.targets(), renamed.classes):
        raise DataError(
            lack,
            code="D39",
            hint="use another column in data.label, or another table in data.train",
        )
    return renamed, rename


def _choose_precision(
    workspace: Workspace,
    run: Run,
    techniques: OpenPlugins,
    parts: network.Parts,
    table: Table,
    folds: Folds,
    device: torch.device,
) -> Precision:
    """Returns the precision by the rule for the network on this device, which may not be the run's first device.

    Raises RunError R06 if the run does not fit on the disk.
    """
    experiment = workspace.experiment
    built = network.build(parts, len(table.classes), experiment.image_size)
    if experiment.gradient_checkpointing:
        from kit.model.gradient_checkpointing import enable_gradient_checkpointing

        enable_gradient_checkpointing(built, parts.backbone)  # so that its fault shows before images are read
    smallest = min(stage.experiment.image_size for stage in techniques.stages)
    chosen = resolve_auto(built, device, Precision.of(experiment.model_dump()), smallest)
    if run.is_started:
        warn_of_other_dtype(run.name, run.config["precision"], chosen.train, device, "training")
    check_room(workspace, run, built, techniques.optimizer, folds.count, table)
    return chosen


def _with_batch(setting: RunContext) -> Work[RunContext]:
    """Resolves the batch of "auto", and scales the learning rate to it: as at the run's start, else measured."""
    run, techniques = setting.run, setting.techniques
    if run.is_started:
        count, lr = int(run.config["batch_size"]), run.config["optimizer"]["lr"]
        optimizer = techniques.optimizer.model_copy(update={"lr": lr})
    else:
        if setting.workspace.experiment.executor is None:
            most = _largest_batch(setting)
        else:
            most = yield from _largest_batch_of_a_worker(setting)
        count = setting.ranks.all_reduce_min(most) * setting.ranks.count  # of which each takes its part
        optimizer = scale_lr(techniques.optimizer, count)
        lr = getattr(optimizer, "lr", 0.0)
        yield Progress(
            "memory", 1, 1, f"batch_size {count}, optimizer.lr {lr:.3g}: the largest batch", line=True
        )
    stages = tuple(stage.with_batch(count) for stage in techniques.stages)
    return replace(
        setting,
        experiment=setting.experiment.model_copy(update={"batch_size": count}),
        techniques=replace(techniques, optimizer=optimizer, stages=stages),
    )


def _largest_batch(setting: RunContext) -> int:
    trained = [setting.training_rows(fold) for fold in range(setting.folds.count)]
    bags = setting.image_bags
    rows = min(len(part if bags is None else bags.first_rows(part)) for part in trained)
    return largest_batch(
        setting.techniques,
        setting.experiment,
        setting.loaded.table,
        setting.precision,
        setting.device,
        rows,
        setting.ranks.count,
    )


@dataclass(frozen=True)
class BatchJob:
    """A run whose largest batch a worker measures: plain data."""

    root: str
    config: Mapping[str, Any]
    run: str


def measure_batch(job: BatchJob, stop: Stop) -> Work[int]:
    """Returns the largest number of rows in a step of a run on this process's device."""
    workspace = Workspace(Path(job.root), dict(job.config))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)  # shown when the run was prepared
        setting = yield from _open(workspace, Run(workspace.runs / job.run), None, ALONE)
    return _largest_batch(setting)


def _largest_batch_of_a_worker(setting: RunContext) -> Work[int]:
    """Measures where the folds train, which may be another machine, so that this process takes no memory of a GPU."""
    job = BatchJob(str(setting.workspace.root), setting.config_for_workers(), setting.run.name)
    executor = open_executor(setting.workspace, setting.experiment.device)
    with closing(executor.map(measure_batch, [job], Stop())) as events:
        for event in events:
            if isinstance(event, JobResult):
                if event.error is not None:
                    raise event.error
                return int(event.result)
            if event.step.line:
                yield event.step
    raise AssertionError("an executor ends each of its jobs")


def check_rows(setting: RunContext) -> None:
    """Raises DataError D38 if a fold has no usable image left to train on, or to predict."""
    for fold in range(setting.folds.count):
        trained, held_out = len(setting.training_rows(fold)), len(setting.oof_rows(fold))
        if not trained or (setting.techniques.splitter.holds_out and not held_out):
            raise DataError(
                f"fold {fold} has {trained} usable images to train on and {held_out} to predict",
                code="D38",
                hint="repair the listed images, or use fewer splitter.folds",
            )
