"""Loading: a split's rows with their images in the cache, pseudo-labelled rows of a fold, and automatic groups.

Unreadable images stop the work, or go by the config's word.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.core.files import fingerprint
from kit.core.progress import Work
from kit.data.folds import Folds, connected_components, merge_groups
from kit.data.groups import AUTO_GROUP_FILES, group_names
from kit.data.pseudo_labels import PseudoLabels, images_digest
from kit.data.quarantine import quarantine
from kit.data.table import Table, test_table, train_table
from kit.errors import Case, ConfigError, DataError, KitWarning, RunError, format_cases
from kit.images.cache import Cache, Geometry, fill_cache
from kit.images.concat_cache import ConcatCache
from kit.images.near_duplicates import compute_thumbnails, find_near_duplicates, write_groups
from kit.images.reader import ImageSource
from kit.images.scenes import group_scenes
from kit.kinds import Loss
from kit.kinds.label_kinds import MEANING, plugins_taking
from kit.kinds.targets import LabelKind


@dataclass(frozen=True)
class Loaded:
    """A table and the cache that holds its images: row i of one is row i of the other; `bad` rows have none."""

    table: Table
    cache: Cache
    bad: np.ndarray  # (rows,) bool

    def fingerprint(self) -> str:
        """64 hex digits that are equal for the same files, read in the same way, of which the same are bad."""
        how = self.cache.file.parent.name  # geometry and whatever else makes other pixels of a file
        return fingerprint([how, list(self.cache.hashes), np.flatnonzero(self.bad).tolist()])


def geometry(experiment: Experiment) -> Geometry:
    """The size and the rule by which images enter the cache."""
    return Geometry.of(experiment)


def open_source(workspace: Workspace) -> ImageSource:
    """How the images of an experiment are read. Raises PluginError, and ConfigError C24 for a missing package."""
    return ImageSource.open(workspace.competition.data, workspace.root, workspace.experiment.channels)


def load_rows(
    workspace: Workspace,
    table: Table,
    split: str,
    wanted: Geometry,
    goes_on: str = "",
    needs_some: bool = False,
) -> Work[Loaded]:
    """Brings a table's images into the cache, and does with unreadable ones what the config says.

    `goes_on` is the setting that a hint names, by default the config's key. Raises DataError with all bad images as
    cases if they stop the work, or with `needs_some` if there is no other image; if it goes on, the first are shown
    and quarantine.csv has all.
    """
    data = workspace.competition.data
    filled = yield from fill_cache(workspace.cache, table.paths, wanted, data, root=workspace.root)
    by_path = {case.path: case for case in filled.bad}
    bad = np.array([str(path) in by_path for path in table.paths], dtype=bool)
    if not bad.any():
        return Loaded(table, filled.cache, bad)
    cases = [
        replace(by_path[str(table.paths[int(row)])], id=str(table.ids[row]), split=split)
        for row in np.flatnonzero(bad)
    ]
    choice = data.on_unreadable_train if split == "train" else data.on_unreadable_test
    kinds = ", ".join(
        f"{code} {count}" for code, count in sorted(Counter(case.code for case in cases).items())
    )
    summary = f"{len(cases)} of {len(table)} {split} images are unusable ({kinds})"
    if needs_some and bad.all():
        raise DataError(
            f"all {len(table)} {split} images are unusable ({kinds})",
            code=cases[0].code,
            cases=cases,
            hint=f"set --images to the folder of the images: kit looks for {cases[0].id!r} at "
            f"{cases[0].path}",
        )
    if choice == "stop":
        key = goes_on or f"data.on_unreadable_{split}={'skip' if split == 'train' else 'class_prior'}"
        raise DataError(  # the command that fails writes quarantine.csv, as for any bad data
            summary,
            code=cases[0].code,
            cases=cases,
            hint=f"repair them, or set {key} to continue without them",
        )
    does = "excluded from training" if choice == "skip" else "predicted as the class prior"
    lines = [f"{summary}, {does}; {_write_quarantine(workspace, cases)}", *format_cases(cases)]
    warnings.warn(KitWarning("\n".join(lines)), stacklevel=2)
    return Loaded(table, filled.cache, bad)


def _write_quarantine(workspace: Workspace, cases: Sequence[Case]) -> str:
    """Lists the cases in quarantine.csv, and says so; a list that cannot be written stops nothing."""
    try:
        return f"{quarantine(workspace.root, cases)} lists all"
    except (OSError, RunError) as error:
        return f"kit could not write quarantine.csv ({error})"


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a fold's model trains on: these rows of a cache; by `labels` a sampler orders them."""

    cache: Cache | ConcatCache
    rows: np.ndarray  # int64
    labels: np.ndarray  # of all rows of the cache: class numbers, -1 where unknown, or multi-hot
    targets: np.ndarray | None = None  # what the loss is given, where it is not the labels


def check_row_weights(losses: Sequence[Loss], table: Table, pseudo_labels: str | None) -> None:
    """Raises ConfigError for losses that weigh rows: C08 without weights or inside another loss, C17 with teachers."""
    for loss in losses:
        inner = loss.base_loss()
        while inner is not None and not inner.weighs_rows:
            inner = inner.base_loss()
        if inner is not None:
            name = inner.plugin_name()
            text = f"loss {name!r} is the base of {loss.plugin_name()!r}, and must be the outermost loss"
            raise ConfigError(text, code="C08", hint=f"loss={name} loss.base={loss.plugin_name()}")
        if not loss.weighs_rows:
            continue
        if table.weights is None:
            text = f"loss {loss.plugin_name()!r} needs weights of rows, and the config names none"
            raise ConfigError(text, code="C08", hint="data.weight=COLUMN")
        if pseudo_labels is not None:
            text = f"loss {loss.plugin_name()!r} does not weigh pseudo-labelled rows"
            raise ConfigError(text, code="C17", hint=f"loss={getattr(loss, 'base', loss).plugin_name()}")


def add_weights(own: TrainingData, table: Table) -> TrainingData:
    """The same with each row's weight, scaled to a mean of 1 over the training rows, in a column behind its labels.

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


@dataclass(frozen=True, eq=False)
class PseudoRows:
    """Pseudo-labels, and all test rows with their images, which follow the training rows in what is made here."""

    labels: PseudoLabels
    loaded: Loaded

    def rows(self, fold: int) -> np.ndarray:
        """Positions of the test rows that a fold's model trains on; those without an image are left out."""
        places = self._places(fold)
        return np.sort(places[~self.loaded.bad[places]])

    def add_to(self, own: TrainingData, table: Table, fold: int, loss: Loss) -> TrainingData:
        """A fold's material and its test rows; `table` is of the training rows. Raises ConfigError C36."""
        first, told, kind = len(own.labels), self.labels.of(fold), self.kind(loss)
        places = first + self._places(fold)
        labels = np.concatenate([own.labels, np.full(len(self.loaded.table), -1)])
        labels[places] = told.probabilities.argmax(axis=1)
        rows = np.concatenate([own.rows, first + self.rows(fold)])
        made = replace(own, cache=ConcatCache((own.cache, self.loaded.cache)), rows=rows, labels=labels)
        if kind == "class_index":
            return made
        shares = np.zeros((len(labels), len(told.classes)), np.float32)  # 0 where no teacher saw the row
        shares[places] = told.probabilities
        if kind == "soft":
            shares[np.arange(first), own.labels] = 1
            return replace(made, targets=shares)
        self._tell(shares, table, fold)
        return replace(made, targets=np.concatenate([labels[:, None].astype(np.float32), shares], axis=1))

    def kind(self, loss: Loss) -> LabelKind:
        """The kind of labels that a loss is given."""
        if loss.takes_labels("taught"):
            return "taught"
        return "soft" if self.labels.label_type == "soft" else "class_index"

    def provenance(self) -> dict[str, Any]:
        """What a run remembers of it: the round, and hashes of the labels and the images."""
        return {
            "round": self.labels.round,
            "labels": self.labels.fingerprint(),
            "images": self.loaded.fingerprint(),
        }

    def _places(self, fold: int) -> np.ndarray:
        return self.loaded.table.index_of(self.labels.of(fold).ids)

    def _tell(self, shares: np.ndarray, table: Table, fold: int) -> None:
        """Puts what the fold's teachers say of the rows that they trained on into the training rows' places."""
        if self.labels.train is None:
            return
        told = self.labels.train.take(self.labels.train.folds == fold)
        shares[table.index_of(told.ids)] = told.probabilities


def load_pseudo_rows(
    workspace: Workspace, table: Table, folds: Folds, losses: Sequence[Loss]
) -> Work[PseudoRows | None]:
    """The experiment's pseudo-labels, checked, with the test images in the cache; None where it names none.

    Raises ConfigError C36 for none there, C17 for losses that do not take them; DataError D61 for other folds, D65 for
    other test rows; InvalidError D40, D42.
    """
    path, data = workspace.experiment.pseudo_labels, workspace.competition.data
    if path is None:
        return None
    labels = PseudoLabels.read(workspace, path)
    test = test_table(workspace, data, table.classes)
    loaded = yield from load_rows(workspace, test, "test", geometry(workspace.experiment))
    labels.check(folds, table.classes, images_digest(test.ids, loaded.cache.hashes))
    taught = PseudoRows(labels, loaded)
    _check_losses(taught, losses, workspace)
    return taught


def _check_losses(taught: PseudoRows, losses: Sequence[Loss], workspace: Workspace) -> None:
    """Raises ConfigError C17 for a loss that does not take soft labels, or where none takes a teacher's word."""
    name = taught.labels.folder.name
    wrong = [loss for loss in losses if not loss.takes_labels(taught.kind(loss))]
    if wrong:
        raise ConfigError(
            f"pseudo_labels {name!r} has soft labels, which loss {wrong[0].plugin_name()!r} does not support",
            code="C17",
            cases=[plugins_taking("loss", "soft", workspace.root)],
            hint="use one of these, loss=distillation, or kit pseudo-labels without --soft",
        )
    if taught.labels.train is not None and not any(loss.takes_labels("taught") for loss in losses):
        raise ConfigError(
            f"pseudo_labels {name!r} also labels training rows, but loss {losses[0].plugin_name()!r} cannot use "
            "teacher predictions",
            code="C17",
            hint="loss=distillation, with the current loss as its base",
        )


def write_auto_groups(workspace: Workspace) -> Work[None]:
    """Writes groups.csv (near copies) or scenes.csv (those, and photos of one scene) where data.group asks for it.

    A file that names the rows that the table has now is kept as it is, so that a run resumes with its groups, and
    people may edit it. Raises ConfigError C17 for scenes of rows with several labels.
    """
    data = workspace.competition.data
    if data.group is None or data.group not in AUTO_GROUP_FILES:
        return
    file = workspace.root / AUTO_GROUP_FILES[data.group]
    plain = data.model_copy(update={"group": None})
    table = train_table(workspace.root, plain).sort_by_id()
    if data.group in table.frame.columns or group_names(file).keys() == set(table.ids.tolist()):
        return
    loaded = yield from load_rows(workspace, table, "train", geometry(workspace.experiment))
    found = yield from compute_thumbnails(loaded.cache)
    groups = connected_components(len(table), find_near_duplicates(found).tolist())
    if data.group == "scene":
        if not table.has_one_class:
            raise ConfigError(
                f"data.group=scene compares photos of one class, but rows have {MEANING[table.label_kind]}",
                code="C17",
            )
        scenes = yield from group_scenes(table.paths, table.targets(), found.pictures, open_source(workspace))
        groups = merge_groups(groups, scenes)
    write_groups(file, table.ids.tolist(), groups)
