"""PredictionFile: a run's predictions of one split by one set of views, and the checkpoints' networks that
fill it.

A network predicts if its rows, classes and plugins match the present ones. Predictions are reused if nothing
changed. During prediction, probabilities are kept in maps of unnamed files, so that no number of rows, views
or networks fills the memory. They are written to the parquet file one row group at a time. `assemble` joins
the out-of-fold predictions of training.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from kit.config.models import Experiment
from kit.config.parsing import read_stored_experiment
from kit.config.workspace import Workspace
from kit.core.memmaps import empty_or_memmap
from kit.data.column_encoder import SideValues, columns_digest
from kit.data.folds import Folds
from kit.data.predictions import (
    Empty,
    Predictions,
    Provenance,
    concat_predictions,
    ids_fingerprint,
    provenance_of,
    write_parts,
)
from kit.data.table import Table
from kit.device.precision import Precision, resolve_auto, warn_of_other_dtype
from kit.engine.batches import LoaderProcesses, PlainBatches
from kit.errors import CheckpointError, ConfigError, InvalidError, KitWarning
from kit.evaluation.competition import Scoring, with_scores
from kit.experiment.loading import Loaded
from kit.experiment.run_context import RunContext
from kit.kinds import Classes, Splitter, Target, Views
from kit.model import checkpoints, network
from kit.model.checkpoints import Checkpoint, CheckpointProvenance, load
from kit.model.predict import Merge, NetworkReader, Predictor, View, fuse
from kit.runs.run import Run, prediction_provenance

if TYPE_CHECKING:
    from kit.engine.bag_batches import ImageBags


def experiment_of(trained: CheckpointProvenance) -> Experiment:
    """Returns a checkpoint's resolved experiment. Raises CheckpointError D53 if this kit cannot read it."""
    return _experiment(trained, trained.require_config())


def experiment_of_request(trained: CheckpointProvenance) -> Experiment:
    """Returns the same with `auto` for each precision and layout that was not set.

    A checkpoint of a kit that did not record them has the values that were chosen on its training device.
    """
    return _experiment(trained, {**trained.require_config(), **(trained.asked or {})})


def _experiment(trained: CheckpointProvenance, config: Mapping[str, Any]) -> Experiment:
    return read_stored_experiment(config, f"a checkpoint of run {trained.run!r}")


def classes_of_checkpoint(trained: CheckpointProvenance) -> Classes:
    """Returns the classes that a checkpoint's plugins were bound to, from its manifest."""
    return Classes(
        trained.classes,
        trained.class_counts,
        trained.class_groups,
        trained.class_factors,
        trained.total,
        trained.target,
        trained.means,
        trained.scales,
        trained.target_range,
        trained.class_levels,
    )


def precision_of(trained: CheckpointProvenance, network: nn.Module, device: torch.device) -> Precision:
    """Returns the precision of a checkpoint's predictions on a device, which may differ from the training device.

    A dtype or layout that the config set stays, and `auto` is chosen again: an A100's bfloat16 fails on a T4,
    and is several times slower than float32 on most CPUs.
    """
    began = Precision.of(experiment_of(trained).model_dump())
    chosen = resolve_auto(network, device, Precision.of(experiment_of_request(trained).model_dump()))
    warn_of_other_dtype(trained.run, began.predict, chosen.predict, device, "predicting")
    return chosen


def restore(checkpoint: Checkpoint, root: Path | None, device: torch.device) -> Predictor:
    """Returns the averaged network if it exists, else the one with the last weights.

    Raises CheckpointError D53 if the weights are not those of the network, naming the first keys.
    """
    experiment = experiment_of(checkpoint.provenance)
    classes = classes_of_checkpoint(checkpoint.provenance)
    columns = checkpoint.provenance.encoder()
    parts = network.open_parts(experiment, root, classes).without_pretrained()
    parts = parts.with_layout(None if columns is None else columns.layout)
    built = network.build(parts, len(classes.names), experiment.image_size)
    wanted, weights = built.state_dict(), checkpoint.prediction_weights
    wrong = sorted(
        {*wanted, *weights}
        - {key for key in wanted if key in weights and wanted[key].shape == weights[key].shape}
    )
    if wrong:
        raise CheckpointError(
            f"{checkpoint.path} does not match its network: {len(wrong)} weights differ",
            code="D53",
            cases=wrong,
            hint="one of its plugins was changed after training",
        )
    built.load_state_dict(weights)
    precision = precision_of(checkpoint.provenance, built, device)
    placed = precision.to_device(built.eval(), device)
    return Predictor(placed, parts.loss, precision, classes.target, columns)


def load_for_prediction(path: Path, root: Path | None, device: torch.device) -> Predictor:
    """Returns a checkpoint's network in its fastest form to predict. Raises as `load` and `restore`."""
    checkpoint = load(path)
    predictor = restore(checkpoint, root, device)
    size = experiment_of(checkpoint.provenance).image_size
    if predictor.precision.predict != "float32":
        return predictor
    return replace(predictor, network=fuse(predictor.network, size))


def same_experiment(run: Run, folds: Mapping[int, Path], table: Table) -> Experiment:
    """Returns the experiment of a run's checkpoints. Raises CheckpointError D53 if one was made for other classes."""
    provenance_by_path = {path: checkpoints.provenance_of(path) for path in folds.values()}
    for path, trained in provenance_by_path.items():
        if trained.classes != table.classes:
            raise CheckpointError(
                f"{path} was trained for {len(trained.classes)} classes, but the table has "
                f"{len(table.classes)} or different classes",
                code="D53",
                hint=f"train {run.name} again under another --name",
            )
    return experiment_of(next(iter(provenance_by_path.values())))


def warn_of_changed(run: Run, plugins: Mapping[str, str]) -> None:
    """Warns (W14) of plugins whose source differs from that of the run's training."""
    began = run.provenance.get("plugins", {})
    changed = [name for name, mark in plugins.items() if began.get(name, mark) != mark]
    if changed:
        text = f"W14 {', '.join(changed)} changed since {run.name} was trained; kit uses the current version"
        warnings.warn(KitWarning(text), stacklevel=2)


def check_config(run: Run, request: Mapping[str, Any], what: str) -> None:
    """Raises ConfigError C11 if a run was started with another request, such as a soup."""
    if run.is_started and run.manifest.get("asked") != request:
        raise ConfigError(f"runs/{run.name} does not match this {what}", code="C11", hint="another --name")


ANY_OF = ("checkpoints", "spec")  # keys that may differ in predictions that are reused
MAPPED = 2**20  # bytes from which probabilities are mapped to a file

Split = Literal["oof", "test", "train"]  # train: the rows that each fold's network trained on


@dataclass(frozen=True, eq=False)
class PredictionJob:
    """One run to be predicted by a set of views, and the provenance of its predictions."""

    workspace: Workspace
    run: Run
    name: str  # of the views
    recipe: Views
    views: Sequence[View]  # of the recipe, opened
    merge: Merge
    experiment: Experiment
    checkpoints: Mapping[int, Path]  # by fold
    folds: Folds
    scoring: Scoring
    provenance: Provenance
    train: Table | None = None  # the labelled rows, with class names and order of the run

    def as_named(self, loaded: Loaded) -> Loaded:
        """Returns rows with the run's classes in place of the tables' own, which may have been renamed."""
        if self.train is None or self.train.classes == loaded.table.classes:
            return loaded
        if loaded.table.labels is None:
            return replace(loaded, table=replace(loaded.table, classes=self.train.classes))
        return replace(loaded, table=self.train)

    @property
    def folder(self) -> Path:
        """The folder of the predictions."""
        return self.run.predictions(self.name)

    @property
    def member(self) -> str:
        """The member as text, `r@d4`."""
        return f"{self.run.name}@{self.name}"


def _columns_digest(job: PredictionJob, loaded: Loaded, split: str) -> str:
    """Returns the digest of the side columns of a run's networks, or of their bags; empty if they take neither."""
    if job.experiment.instances is not None:
        from kit.experiment.bags import find_bags

        return find_bags(loaded, job.experiment.instances["max_instances"]).digest()
    if job.experiment.columns is None or not job.checkpoints:
        return ""
    encoder = checkpoints.provenance_of(next(iter(job.checkpoints.values()))).encoder()
    return "" if encoder is None else columns_digest(loaded.table, encoder.names, split)


@dataclass(frozen=True, eq=False)
class PredictionFile:
    """The predictions of one split, by fold: `kept` is from an earlier command, `made` is being filled.

    `unfinished` has the rows of folds that an earlier command predicted before it was stopped.
    """

    job: PredictionJob
    split: Split
    loaded: Loaded
    prior: np.ndarray  # (K,) of the classes, for test rows without an image
    provenance: Provenance
    reused: Mapping[int, Predictions]
    predictions: dict[int, Predictions] = field(default_factory=dict)
    unfinished: Mapping[int, Predictions] = field(default_factory=dict)

    @classmethod
    def begin(cls, job: PredictionJob, split: Split, loaded: Loaded, prior: np.ndarray) -> PredictionFile:
        """Returns a file with the predictions of an earlier command that would be the same again."""
        provenance = replace(
            job.provenance,
            rows=split,
            images=loaded.fingerprint(),
            columns=_columns_digest(job, loaded, split),
        )
        if split == "test":
            provenance = replace(provenance, ids=ids_fingerprint(loaded.table.ids))
        else:
            provenance = replace(provenance, folds=job.folds.fingerprint())
        return cls(
            job,
            split,
            loaded,
            prior,
            provenance,
            load_reusable_predictions(
                job.folder / f"{split}.parquet", provenance, job.run, lambda shape: _memory_map(shape, job)
            ),
            unfinished=load_reusable_predictions(
                _unfinished_file(job, split), provenance, job.run, lambda shape: _memory_map(shape, job)
            ),
        )

    @property
    def folds_to_predict(self) -> list[int]:
        """The folds that are not predicted yet."""
        return [fold for fold in self.job.checkpoints if fold not in self.reused]

    @cached_property
    def bags(self) -> ImageBags | None:
        """The bags of the split's images, if the network sees the images of an answer together."""
        instances = self.job.experiment.instances
        if instances is None:
            return None
        from kit.experiment.bags import find_bags

        return find_bags(self.loaded, instances["max_instances"])

    def rows(self, fold: int) -> np.ndarray:
        """Returns the rows with an image that a fold's network predicts, ascending."""
        return np.flatnonzero(self._rows_for(fold) & ~self.loaded.bad)

    def _rows_for(self, fold: int) -> np.ndarray:
        if self.split == "test":
            return np.ones(len(self.loaded.bad), bool)
        if self.split == "oof":
            return self.job.folds.oof_mask(fold)
        splitter = self.job.experiment.open(Splitter, self.job.workspace.root)
        return self.job.folds.training_mask(splitter, fold)

    def reader(self, fold: int, predictor: Predictor) -> NetworkReader:
        """Returns a fold's network as a reader that fills its rows. Raises RunError if the disk is full."""
        rows, predictions, places = self.is_started(fold, predictor.target)
        job = self.job
        side = predictor.encode_columns(self.loaded.table, self.split)
        size = job.experiment.batch_rows()
        return NetworkReader(predictor, job.views, job.merge, rows, size, predictions, places, side)

    def is_started(self, fold: int, target: Target) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the rows for a fold's network to predict, the array to be filled, and the position of each row in it.

        Rows that a stopped command has predicted are filled in. They were whole batches, and so are the others.
        Of a bag the network predicts the first row.
        """
        table, rows, job = self.loaded.table, self.rows(fold), self.job
        written, places = self._rows_to_write(rows), self._places(rows)
        predictions = _memory_map((len(written), len(table.classes)), job)
        predictions[np.setdiff1d(np.arange(len(written)), places)] = self.prior
        provenance = Provenance(checkpoints={str(fold): self.provenance.checkpoint(fold)})
        self.predictions[fold] = Predictions(
            table.ids if len(written) == len(table) else table.ids[written],
            np.full(len(written), fold),
            table.classes,
            predictions,
            provenance,
            target,
        )
        predictions[places, 0] = np.nan  # so that a row without predictions is recognised after a stop
        is_left = np.ones(len(rows), bool)
        if fold in self.unfinished:
            earlier, ids = self.unfinished[fold], table.ids[rows]
            known = np.isin(ids, earlier.ids)
            predictions[places[known]] = earlier.align(ids[known])
            is_left = ~known
        if self.bags is not None:
            is_left &= self.bags.first[rows] == rows
        return rows[is_left], predictions, places[is_left]

    def _spread(self, fold: int) -> None:
        """Copies the prediction of each bag from its first row to its other rows."""
        if self.bags is None or fold not in self.predictions:
            return
        predictions, rows = self.predictions[fold].probabilities, self.rows(fold)
        at_first = predictions[np.searchsorted(self._rows_to_write(rows), self.bags.first[rows])]
        predictions[self._places(rows)] = at_first

    def count_left(self) -> int:
        """Returns rows times networks that are not predicted yet."""
        return sum(
            len(self.rows(fold)) - len(self._places_with_predictions(fold)) for fold in self.folds_to_predict
        )

    def _places_with_predictions(self, fold: int) -> np.ndarray:
        """Returns the positions of a fold's rows that have predictions by its network, ascending."""
        if fold not in self.predictions:
            return np.empty(0, np.int64)
        self._spread(fold)
        places = self._places(self.rows(fold))
        is_open = np.isnan(self.predictions[fold].probabilities[places, 0])
        return np.asarray(places[~is_open])

    def write_unfinished(self) -> None:
        """Writes the predicted rows to their own file, from which the next command continues."""
        places = {fold: self._places_with_predictions(fold) for fold in self.predictions}
        parts = {fold: part.take(places[fold]) for fold, part in self.predictions.items()}
        parts = {fold: part for fold, part in parts.items() if len(part)}
        if parts:
            provenance = replace(self.provenance, checkpoints=checkpoint_tags(parts))
            write_parts(_unfinished_file(self.job, self.split), list(parts.values()), provenance)

    def write(self) -> Provenance:
        """Writes the file if its rows or its provenance would change. Returns its provenance, which includes scores.

        Out-of-fold rows are scored even if they are reused, because the labels and the metric may be others.
        """
        for fold in self.predictions:
            self._spread(fold)
        parts = {**self.reused, **self.predictions}
        provenance = replace(self.provenance, checkpoints=checkpoint_tags(parts))
        ordered = [parts[fold] for fold in sorted(parts)]
        if self.split == "oof":
            whole = concat_predictions(ordered, provenance)
            provenance = with_scores(whole, self.job.scoring, self.loaded.table).provenance
        file = self.job.folder / f"{self.split}.parquet"
        if self.predictions or provenance_of(file) != provenance:
            write_parts(file, ordered, provenance)
        _unfinished_file(self.job, self.split).unlink(missing_ok=True)
        return provenance

    def _rows_to_write(self, rows: np.ndarray) -> np.ndarray:
        """Returns the rows of the table in a fold's predictions, ascending; `rows` are those with an image.

        Test rows without an image are included, with the prior, unless their answer has another image.
        """
        if self.split != "test":
            return rows
        answers = self.loaded.table.answers
        if answers is None or not self.loaded.bad.any():
            return np.arange(len(self.loaded.table))
        return np.flatnonzero(~(self.loaded.bad & np.isin(answers, answers[~self.loaded.bad])))

    def _places(self, rows: np.ndarray) -> np.ndarray:
        """Returns the positions of rows with an image in a fold's predictions."""
        return np.asarray(np.searchsorted(self._rows_to_write(rows), rows))


def _unfinished_file(job: PredictionJob, split: Split) -> Path:
    return job.folder / f"{split}.unfinished.parquet"


def _memory_map(shape: tuple[int, int], job: PredictionJob) -> np.ndarray:
    return empty_or_memmap(shape, job.workspace.cache, MAPPED)


def prediction_batches(
    loaded: Loaded,
    experiment: Experiment,
    rows: np.ndarray,
    device: torch.device | None = None,
    processes: LoaderProcesses | None = None,
    side: SideValues | None = None,
    bags: ImageBags | None = None,
) -> PlainBatches:
    """Returns batches of rows, each once, in order, with `side` values. `processes` also load for others.

    With `bags` a row stands for its bag.
    """
    return PlainBatches(
        cache=loaded.cache,
        rows=rows,
        size=experiment.image_size,
        crop_share=experiment.center_crop,
        batch_size=experiment.batch_rows(),
        workers=experiment.workers,
        device=device,
        processes=processes,
        side=side,
        bags=bags,
    )


def assemble(setting: RunContext) -> Predictions:
    """Writes predictions/plain/oof.parquet from the finished folds, with their scores."""
    run = setting.run
    parts = {
        k: Predictions.read(run.fold_predictions_file(k))
        for k in range(setting.folds.count)
        if run.fold_predictions_file(k).is_file()
    }
    plugins = [Views.open("plain"), *setting.techniques.parts.without_pretrained().all()]
    provenance = replace(
        prediction_provenance(run, "plain", "mean", setting.loaded.table, plugins),
        rows="oof",
        folds=setting.folds.fingerprint(),
        images=setting.loaded.fingerprint(),
        columns=setting.columns_digest(),
        checkpoints=checkpoint_tags(parts),
    )
    concatenated = concat_predictions(list(parts.values()), provenance)
    whole = with_scores(concatenated, setting.scoring, setting.loaded.table)
    whole.write(run.predictions("plain") / "oof.parquet")
    return whole


def load_reusable_predictions(
    file: Path, wanted: Provenance, run: Run, empty: Empty | None = None
) -> dict[int, Predictions]:
    """Returns the predictions of a file with exactly the wanted provenance: same rows, images, classes,
    views, plugins and checkpoints.

    The views' spec is not compared, because their name is enough. A fold without a recorded checkpoint is
    reused as long as the checkpoint that made it exists. The arrays are parts of one that `empty` makes.
    """
    if not file.is_file():
        return {}
    try:
        old = Predictions.read(file, empty)
    except InvalidError:  # damaged: predicted again
        return {}
    had, tags_wanted = old.provenance.to_json(), wanted.checkpoints
    if any(had.get(key) != value for key, value in wanted.to_json().items() if key not in ANY_OF):
        return {}
    tags = {
        int(fold): tag
        for fold, tag in old.provenance.checkpoints.items()
        if tags_wanted.get(fold, tag) == tag and (fold in tags_wanted or _stands(run, fold, tag))
    }
    return {fold: _of_fold(old, fold) for fold in sorted(tags)}


def _of_fold(whole: Predictions, fold: int) -> Predictions:
    """Returns a fold's rows, without a copy if they are contiguous, as they are written."""
    rows = np.flatnonzero(whole.folds == fold)
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return whole.take(slice(rows[0], rows[-1] + 1))
    return whole.take(rows)


def _stands(run: Run, fold: str, tag: str) -> bool:
    """Whether a run still has the checkpoint of a tag."""
    try:
        return checkpoints.tag(run.fold(int(fold)) / tag.partition(":")[0]) == tag
    except (OSError, ValueError, KeyError):
        return False


def checkpoint_tags(parts: Mapping[int, Predictions]) -> dict[str, str]:
    """Returns the checkpoint of each fold, by the provenance of its predictions."""
    return {str(fold): parts[fold].provenance.checkpoint(fold) for fold in sorted(parts)}
