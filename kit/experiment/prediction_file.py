"""PredictionFile: a run's predictions of one split by one set of views, and which of them can be reused.

While they are made, probabilities stand in maps of files without a name, so that no number of rows, views or
networks fills the memory; they go to the parquet file a row group at a time. `assemble` puts the out-of-fold
predictions of training together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.core.memmaps import empty_or_memmap
from kit.data.folds import Folds
from kit.data.predictions import (
    Empty,
    Predictions,
    concat_predictions,
    ids_fingerprint,
    provenance_of,
    write_parts,
)
from kit.data.provenance import Provenance
from kit.data.table import Table
from kit.engine.batches import LoaderProcesses, PlainBatches
from kit.errors import InvalidError
from kit.evaluation.competition import Scoring, with_scores
from kit.experiment.loading import Loaded
from kit.experiment.run_context import RunContext
from kit.kinds import Splitter, Target, Views
from kit.model import checkpoints
from kit.model.predict import Merge, NetworkReader, Predictor, View
from kit.runs.run import Run, prediction_provenance

ANY_OF = ("checkpoints", "spec")  # keys that may differ in predictions that are reused
MAPPED = 2**20  # bytes from which probabilities are mapped to a file

Split = Literal["oof", "test", "train"]  # train: the rows that each fold's network trained on


@dataclass(frozen=True, eq=False)
class PredictionJob:
    """One run to be predicted by a set of views, and what its predictions say of themselves."""

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
    train: Table | None = None  # the labelled rows, their classes named and ordered as the run has them

    def as_named(self, loaded: Loaded) -> Loaded:
        """Rows with the run's classes in place of the tables' own, which may be renamed since."""
        if self.train is None or self.train.classes == loaded.table.classes:
            return loaded
        if loaded.table.labels is None:
            return replace(loaded, table=replace(loaded.table, classes=self.train.classes))
        return replace(loaded, table=self.train)

    @property
    def folder(self) -> Path:
        """Where the predictions go."""
        return self.run.predictions(self.name)

    @property
    def member(self) -> str:
        """The member as people write it, `r@d4`."""
        return f"{self.run.name}@{self.name}"


@dataclass(frozen=True, eq=False)
class PredictionFile:
    """The predictions of one split, by fold: `kept` is of an earlier command, `made` is being filled.

    `unfinished` has the rows of folds that an earlier command predicted before it was stopped.
    """

    job: PredictionJob
    split: Split
    loaded: Loaded
    prior: np.ndarray  # (K,) of the classes, for test rows without an image
    provenance: Provenance
    kept: Mapping[int, Predictions]
    made: dict[int, Predictions] = field(default_factory=dict)
    unfinished: Mapping[int, Predictions] = field(default_factory=dict)

    @classmethod
    def begin(cls, job: PredictionJob, split: Split, loaded: Loaded, prior: np.ndarray) -> PredictionFile:
        """A sheet with what an earlier command left, and would be the same again."""
        provenance = replace(job.provenance, rows=split, images=loaded.fingerprint())
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
        """The folds that are to be predicted."""
        return [fold for fold in self.job.checkpoints if fold not in self.kept]

    def rows(self, fold: int) -> np.ndarray:
        """The rows with an image that a fold's network predicts, ascending."""
        return np.flatnonzero(self._rows_for(fold) & ~self.loaded.bad)

    def _rows_for(self, fold: int) -> np.ndarray:
        if self.split == "test":
            return np.ones(len(self.loaded.bad), bool)
        if self.split == "oof":
            return self.job.folds.oof_mask(fold)
        splitter = self.job.experiment.open(Splitter, self.job.workspace.root)
        return self.job.folds.training_mask(splitter, fold)

    def reader(self, fold: int, predictor: Predictor) -> NetworkReader:
        """A fold's network, which fills this sheet's rows of it. Raises RunError for a full disk."""
        rows, found, places = self.is_started(fold, predictor.target)
        job = self.job
        return NetworkReader(
            predictor, job.views, job.merge, rows, job.experiment.batch_rows(), found, places
        )

    def is_started(self, fold: int, target: Target) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The rows that a fold's network is to predict, the array to be filled, and the place in it of each row.

        Rows that a stopped command has predicted are filled in. They were whole batches, and so are the others.
        """
        table, rows, job = self.loaded.table, self.rows(fold), self.job
        written, places = self._rows_to_write(rows), self._places(rows)
        found = _memory_map((len(written), len(table.classes)), job)
        found[np.setdiff1d(np.arange(len(written)), places)] = self.prior
        made = Provenance(checkpoints={str(fold): self.provenance.checkpoint(fold)})
        self.made[fold] = Predictions(
            table.ids if len(written) == len(table) else table.ids[written],
            np.full(len(written), fold),
            table.classes,
            found,
            made,
            target,
        )
        found[places, 0] = np.nan  # so that a row without predictions is known if the command is stopped
        if fold not in self.unfinished:
            return rows, found, places
        earlier, ids = self.unfinished[fold], table.ids[rows]
        known = np.isin(ids, earlier.ids)
        found[places[known]] = earlier.align(ids[known])
        return rows[~known], found, places[~known]

    def count_left(self) -> int:
        """Rows times networks that are not predicted yet."""
        return sum(
            len(self.rows(fold)) - len(self._places_with_predictions(fold)) for fold in self.folds_to_predict
        )

    def _places_with_predictions(self, fold: int) -> np.ndarray:
        """The places of a fold's rows that have predictions by its network, ascending."""
        if fold not in self.made:
            return np.empty(0, np.int64)
        places = self._places(self.rows(fold))
        is_open = np.isnan(self.made[fold].probabilities[places, 0])
        return np.asarray(places[~is_open])

    def write_unfinished(self) -> None:
        """Writes the rows that are predicted to a file of their own, from which the next command continues."""
        parts = {fold: part.take(self._places_with_predictions(fold)) for fold, part in self.made.items()}
        parts = {fold: part for fold, part in parts.items() if len(part)}
        if parts:
            provenance = replace(self.provenance, checkpoints=checkpoint_tags(parts))
            write_parts(_unfinished_file(self.job, self.split), list(parts.values()), provenance)

    def write(self) -> Provenance:
        """Writes the file if its rows or its provenance would change, and returns its provenance, such as scores.

        Out-of-fold rows are scored whether kept or not: the labels and the metric may be others.
        """
        parts = {**self.kept, **self.made}
        provenance = replace(self.provenance, checkpoints=checkpoint_tags(parts))
        ordered = [parts[fold] for fold in sorted(parts)]
        if self.split == "oof":
            whole = concat_predictions(ordered, provenance)
            provenance = with_scores(whole, self.job.scoring, self.loaded.table).provenance
        file = self.job.folder / f"{self.split}.parquet"
        if self.made or provenance_of(file) != provenance:
            write_parts(file, ordered, provenance)
        _unfinished_file(self.job, self.split).unlink(missing_ok=True)
        return provenance

    def _rows_to_write(self, rows: np.ndarray) -> np.ndarray:
        """The rows of the table that a fold's predictions have, ascending; `rows` are those with an image.

        Test rows without an image are there too, with the prior, unless their answer has another image.
        """
        if self.split != "test":
            return rows
        answers = self.loaded.table.answers
        if answers is None or not self.loaded.bad.any():
            return np.arange(len(self.loaded.table))
        return np.flatnonzero(~(self.loaded.bad & np.isin(answers, answers[~self.loaded.bad])))

    def _places(self, rows: np.ndarray) -> np.ndarray:
        """Where rows with an image stand in a fold's predictions."""
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
) -> PlainBatches:
    """Rows as prediction sees them, each once, in order; `processes` load for others too."""
    return PlainBatches(
        cache=loaded.cache,
        rows=rows,
        size=experiment.image_size,
        crop_share=experiment.center_crop,
        batch_size=experiment.batch_rows(),
        workers=experiment.workers,
        device=device,
        processes=processes,
    )


def assemble(setting: RunContext) -> Predictions:
    """Writes predictions/plain/oof.parquet from the folds that are there, with their scores."""
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
        checkpoints=checkpoint_tags(parts),
    )
    joined = concat_predictions(list(parts.values()), provenance)
    whole = with_scores(joined, setting.scoring, setting.loaded.table)
    whole.write(run.predictions("plain") / "oof.parquet")
    return whole


def load_reusable_predictions(
    file: Path, wanted: Provenance, run: Run, empty: Empty | None = None
) -> dict[int, Predictions]:
    """What a file holds of exactly the wanted provenance: same rows, images, classes, views, plugins and checkpoints.

    The views' spec is left aside: their name says as much. Folds that it names no checkpoint of are kept too,
    while the one that they were made with stands. The arrays are parts of one that `empty` makes.
    """
    if not file.is_file():
        return {}
    try:
        old = Predictions.read(file, empty)
    except InvalidError:  # damaged: made again
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
    """A fold's rows, without a copy where they stand together, as they are written."""
    rows = np.flatnonzero(whole.folds == fold)
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return whole.take(slice(rows[0], rows[-1] + 1))
    return whole.take(rows)


def _stands(run: Run, fold: str, tag: str) -> bool:
    """Whether a run still has the checkpoint that a tag names."""
    try:
        return checkpoints.tag(run.fold(int(fold)) / tag.partition(":")[0]) == tag
    except (OSError, ValueError, KeyError):
        return False


def checkpoint_tags(parts: Mapping[int, Predictions]) -> dict[str, str]:
    """The checkpoint of each fold, by the provenance of its predictions."""
    return {str(fold): parts[fold].provenance.checkpoint(fold) for fold in sorted(parts)}
