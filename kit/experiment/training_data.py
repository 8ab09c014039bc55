"""Training data of a fold: its rows and labels, weights of rows, and pseudo-labelled test rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kit.config.workspace import Workspace
from kit.core.progress import Work
from kit.data.folds import Folds
from kit.data.pseudo_labels import PseudoLabels, images_digest
from kit.data.table import Table, test_table
from kit.engine.unlabelled import UnlabelledRows
from kit.errors import ConfigError, DataError
from kit.experiment.loading import Loaded, geometry, load_rows
from kit.images.cache import Cache
from kit.images.concat_cache import ConcatCache
from kit.kinds import Augmenter, Loss
from kit.kinds.label_kinds import plugins_taking
from kit.kinds.targets import LabelKind


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The data that a fold's model trains on: these rows of a cache; a sampler orders them by `labels`."""

    cache: Cache | ConcatCache
    rows: np.ndarray  # int64
    labels: np.ndarray  # of all rows of the cache: class numbers, -1 if unknown, or multi-hot
    targets: np.ndarray | None = None  # the loss's labels, if they differ from the sampler's
    unlabelled: UnlabelledRows | None = None


def add_weights(own: TrainingData, table: Table) -> TrainingData:
    """Adds each row's weight, scaled to a mean of 1 over the training rows, in a column after its labels.

    Raises DataError D31 if all training rows have the weight 0.
    """
    assert table.weights is not None
    mean = float(table.weights[own.rows].mean())
    if mean == 0:
        raise DataError(
            "all training rows of a fold have the weight 0", code="D31", hint="another data.weight"
        )
    labels = own.labels[:, None] if own.labels.ndim == 1 else own.labels
    targets = np.concatenate([labels, table.weights[:, None] / mean], axis=1).astype(np.float32)
    return replace(own, targets=targets)


def load_unlabelled(workspace: Workspace, table: Table) -> Work[Loaded]:
    """Loads the test rows with their images in the cache. Raises DataError D38 if none can be read."""
    test = test_table(workspace, workspace.competition.data, table.classes)
    loaded = yield from load_rows(workspace, test, "test", geometry(workspace.experiment))
    if loaded.bad.all():
        raise DataError("no test image can be read", code="D38", hint="repair the listed images")
    return loaded


def add_unlabelled(
    own: TrainingData, test: Loaded, ratio: int, strong: Augmenter, seed: int, fold: int
) -> TrainingData:
    """Adds all test rows that have an image, twice: for their weak views and for their strong ones."""
    first, count = len(own.labels), len(test.table)
    rows = first + np.flatnonzero(~test.bad)
    labels = np.concatenate([own.labels, np.full(2 * count, -1)])
    return replace(
        own,
        cache=ConcatCache((own.cache, test.cache, test.cache)),
        labels=labels,
        targets=labels[:, None].astype(np.float32),
        unlabelled=UnlabelledRows(rows, count, first + count, ratio, strong, seed, fold),
    )


@dataclass(frozen=True, eq=False)
class PseudoRows:
    """Pseudo-labels, and all test rows with their images, which follow the training rows."""

    labels: PseudoLabels
    loaded: Loaded

    def rows(self, fold: int) -> np.ndarray:
        """Returns the positions of the test rows that a fold's model trains on, without those that have no image."""
        places = self._places(fold)
        return np.sort(places[~self.loaded.bad[places]])

    def add_to(self, own: TrainingData, table: Table, fold: int, loss: Loss) -> TrainingData:
        """Adds a fold's test rows to its data; `table` has the training rows. Raises ConfigError C36."""
        first, predicted, kind = len(own.labels), self.labels.of(fold), self.kind(loss)
        places = first + self._places(fold)
        if own.labels.ndim == 2:  # shares or numbers, in the unit of the table
            return self._add_values(own, fold, predicted.probabilities)
        labels = np.concatenate([own.labels, np.full(len(self.loaded.table), -1)])
        labels[places] = predicted.probabilities.argmax(axis=1)
        rows = np.concatenate([own.rows, first + self.rows(fold)])
        rows_with_pseudo = replace(
            own, cache=ConcatCache((own.cache, self.loaded.cache)), rows=rows, labels=labels
        )
        if kind == "class_index":
            return rows_with_pseudo
        shares = np.zeros((len(labels), len(predicted.classes)), np.float32)  # 0 if no teacher saw the row
        shares[places] = predicted.probabilities
        if kind == "soft":
            shares[np.arange(first), own.labels] = 1
            return replace(rows_with_pseudo, targets=shares)
        self._write_teacher_rows(shares, table, fold)
        return replace(
            rows_with_pseudo, targets=np.concatenate([labels[:, None].astype(np.float32), shares], axis=1)
        )

    def _add_values(self, own: TrainingData, fold: int, values: np.ndarray) -> TrainingData:
        first = len(own.labels)
        labels = np.concatenate(
            [own.labels, np.zeros((len(self.loaded.table), own.labels.shape[1]), own.labels.dtype)]
        )
        labels[first + self._places(fold)] = values
        rows = np.concatenate([own.rows, first + self.rows(fold)])
        return replace(own, cache=ConcatCache((own.cache, self.loaded.cache)), rows=rows, labels=labels)

    def kind(self, loss: Loss) -> LabelKind:
        """Returns the kind of labels that a loss receives."""
        if self.labels.test.target.kind != "class_index":
            return self.labels.test.target.kind
        if loss.takes_labels("taught"):
            return "taught"
        return "soft" if self.labels.label_type == "soft" else "class_index"

    def provenance(self) -> dict[str, Any]:
        """Returns a run's record of it: the round, and hashes of the labels and the images."""
        return {
            "round": self.labels.round,
            "labels": self.labels.fingerprint(),
            "images": self.loaded.fingerprint(),
        }

    def _places(self, fold: int) -> np.ndarray:
        return self.loaded.table.index_of(self.labels.of(fold).ids)

    def _write_teacher_rows(self, shares: np.ndarray, table: Table, fold: int) -> None:
        """Writes the teachers' predictions of the fold's training rows into the training rows' positions."""
        if self.labels.train is None:
            return
        predicted = self.labels.train.take(self.labels.train.folds == fold)
        shares[table.index_of(predicted.ids)] = predicted.probabilities


def load_pseudo_rows(
    workspace: Workspace, table: Table, folds: Folds, losses: Sequence[Loss]
) -> Work[PseudoRows | None]:
    """Returns the experiment's pseudo-labels, checked, with the test images in the cache; None if it names none.

    Raises ConfigError C36 if they do not exist, C17 for losses that do not take them; DataError D61 for other
    folds, D65 for other test rows; InvalidError D40, D42.
    """
    path, data = workspace.experiment.pseudo_labels, workspace.competition.data
    if path is None:
        return None
    labels = PseudoLabels.read(workspace, path)
    test = test_table(workspace, data, table.classes)
    loaded = yield from load_rows(workspace, test, "test", geometry(workspace.experiment))
    labels.check(folds, table.classes, images_digest(test.ids, loaded.cache.hashes))
    pseudo_rows = PseudoRows(labels, loaded)
    _check_losses(pseudo_rows, losses, workspace)
    return pseudo_rows


def _check_losses(pseudo_rows: PseudoRows, losses: Sequence[Loss], workspace: Workspace) -> None:
    """Raises ConfigError C17 for a loss that does not take soft labels, or if no loss uses the teachers'
    predictions.
    """
    name = pseudo_rows.labels.folder.name
    wrong = [loss for loss in losses if not loss.takes_labels(pseudo_rows.kind(loss))]
    if wrong:
        raise ConfigError(
            f"pseudo_labels {name!r} has soft labels, which loss {wrong[0].plugin_name()!r} does not support",
            code="C17",
            cases=[plugins_taking("loss", "soft", workspace.root)],
            hint="use one of these, loss=distillation, or kit pseudo-labels without --soft",
        )
    if pseudo_rows.labels.train is not None and not any(loss.takes_labels("taught") for loss in losses):
        raise ConfigError(
            f"pseudo_labels {name!r} also labels training rows, but loss {losses[0].plugin_name()!r} cannot use "
            "teacher predictions",
            code="C17",
            hint="loss=distillation, with the current loss as its base",
        )
