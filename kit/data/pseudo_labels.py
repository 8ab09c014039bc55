"""Pseudo-labels: teachers' predictions for the student of one fold.

    pseudo_labels/NAME/test.parquet     the test rows that each fold's student trains on; a row an id and fold
    pseudo_labels/NAME/train.parquet    each fold's own training rows, for distillation, if requested

The student of fold k is trained only on labels predicted by fold k's networks, which never saw a row that
fold k holds out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from kit.config.workspace import Workspace
from kit.core.arrays import Ids
from kit.core.files import fingerprint, is_safe_folder_name, sha256
from kit.data.folds import Folds
from kit.data.predictions import LabellingRecord, Predictions, unreadable
from kit.errors import ConfigError, DataError, InvalidError

PSEUDO_DIR = "pseudo_labels"
Form = Literal["hard", "soft", "numbers"]  # the most probable class, the probabilities or shares, or numbers


@dataclass(frozen=True, eq=False)
class PseudoLabels:
    """Probabilities of rows, each for one fold. `record` has the teachers and the rule."""

    folder: Path
    test: Predictions
    train: Predictions | None = None

    @classmethod
    def read(cls, workspace: Workspace, path: str) -> PseudoLabels:
        """Reads the pseudo-labels of a folder.

        Raises ConfigError C36 if it has none, InvalidError D40 if they are damaged.
        """
        folder = workspace.path(path)
        file, more = folder / "test.parquet", folder / "train.parquet"
        if not file.is_file():
            raise ConfigError(
                f"pseudo_labels {path!r} has no pseudo-labels",
                code="C36",
                hint="pseudo_labels/NAME, as printed by kit pseudo-labels",
            )
        pseudo_labels = cls(
            folder, Predictions.read(file), Predictions.read(more) if more.is_file() else None
        )
        if pseudo_labels.test.provenance.labelling is None:
            raise ConfigError(
                f"pseudo_labels {path!r} has predictions, but no pseudo-labels",
                code="C36",
                hint="kit pseudo-labels creates them",
            )
        if pseudo_labels.train is None and pseudo_labels.record.told != ("test",):
            raise InvalidError(
                f"{more} is missing", code="D40", hint="run kit pseudo-labels again, under another --name"
            )
        return pseudo_labels

    @property
    def record(self) -> LabellingRecord:
        """The record of how the teachers labelled the rows. Raises InvalidError D40 for predictions of another kind."""
        record = self.test.provenance.labelling
        if record is None:
            raise unreadable(self.folder / "test.parquet", KeyError("told"))
        return record

    def write(self) -> None:
        """Writes the files, test.parquet last: without it the others do not count."""
        if self.train is not None:
            self.train.write(self.folder / "train.parquet")
        self.test.write(self.folder / "test.parquet")

    def exists(self) -> bool:
        """Whether the folder has pseudo-labels, these or others."""
        return (self.folder / "test.parquet").is_file()

    def is_written(self) -> bool:
        """Whether the folder has exactly these. Raises InvalidError D40 for damaged files."""
        pairs = [("test", self.test), *([("train", self.train)] if self.train is not None else [])]
        return all(
            _equal(predictions, Predictions.read(self.folder / f"{name}.parquet"))
            for name, predictions in pairs
        )

    @property
    def label_type(self) -> Form:
        """Whether a row's label is its most probable class, its probabilities, or its numbers."""
        return self.record.labels

    @property
    def round(self) -> int:
        """1 if no teacher was a student itself, else one more than the highest of the teachers'."""
        return int(self.record.round)

    def of(self, fold: int) -> Predictions:
        """Returns the test rows that a fold's student trains on. Raises ConfigError C36 for a fold without teachers."""
        known = self.record.folds_taught
        if fold not in known:
            raise ConfigError(
                f"pseudo_labels {self.folder.name!r} has no labels for fold {fold}: its teachers were not "
                "trained on that fold",
                code="C36",
                hint=f"--folds {','.join(map(str, known))}, or use teachers of all folds",
            )
        return self.test.take(self.test.folds == fold)

    def fingerprint(self) -> str:
        """Returns 64 hex digits that are equal for the same files."""
        names = ["test"] + ["train"] * (self.train is not None)
        return fingerprint([sha256(self.folder / f"{name}.parquet") for name in names])

    def check(self, folds: Folds, classes: Sequence[str], test: str) -> None:
        """Raises the reason if they do not fit a run: D61 other folds, D42 other classes, D65 other test rows."""
        name = self.folder.name
        if self.test.provenance.folds != folds.fingerprint():
            raise DataError(
                f"the teachers of pseudo_labels {name!r} were trained with other folds, so they have seen rows "
                "that this run holds out",
                code="D61",
                hint="use the teachers' splitter, split_seed and rows",
            )
        if self.test.classes != tuple(classes):
            raise InvalidError(
                f"pseudo_labels {name!r} has {len(self.test.classes)} classes, and the table has {len(classes)} "
                "different ones",
                code="D42",
            )
        if self.record.test != test:
            raise DataError(
                f"pseudo_labels {name!r} labels other test rows: ids or images were changed since",
                code="D65",
                hint="restore them; or run kit tta for its teachers, then kit pseudo-labels under another --name",
            )


def images_digest(ids: Ids, hashes: Sequence[str]) -> str:
    """Returns 64 hex digits that are equal for the same ids with images of the same content, in any order."""
    return fingerprint(sorted(zip(ids.tolist(), hashes, strict=True)))


def folder_of(workspace: Workspace, name: str) -> Path:
    """Returns the folder of pseudo-labels of a name. Raises ConfigError C13 if it is not a valid folder name."""
    if not is_safe_folder_name(name):
        raise ConfigError(f"--name {name!r} is not a plain folder name", code="C13")
    return workspace.root / PSEUDO_DIR / name


def _equal(one: Predictions, other: Predictions) -> bool:
    arrays = (
        np.array_equal(getattr(one, key), getattr(other, key)) for key in ("ids", "folds", "probabilities")
    )
    return one.provenance == other.provenance and one.classes == other.classes and all(arrays)
