"""Competitions with several runs' predictions, drawn from a few numbers, for the property tests of blending."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import parquet

from kit.config.workspace import Workspace
from kit.data.folds import Folds
from kit.data.predictions import METADATA_KEY, SCHEMA, ids_fingerprint
from tests.drawn_members import drawn, softmax


@dataclass(frozen=True)
class Family:
    """What a competition is drawn from."""

    seed: int = 0
    members: int = 2
    classes: int = 3
    rows: int = 18
    folds: int = 3
    equal: bool = False  # all members are the first one
    absent: bool = False  # the last class has no row
    grouped: bool = False  # three rows a group
    metric: str = "macro_f1"


@dataclass(frozen=True, eq=False)
class File:
    """One predictions file as it will be written, right or wrong."""

    path: Path
    ids: np.ndarray
    folds: np.ndarray
    classes: tuple[str, ...]
    probabilities: np.ndarray
    about: dict[str, Any]

    def write(self, **changes: Any) -> None:
        """Writes the file, changed; nothing is checked."""
        file = replace(self, **changes)
        columns = [pyarrow.array(column) for column in np.ascontiguousarray(file.probabilities.T, np.float32)]
        table = pyarrow.Table.from_arrays(
            [pyarrow.array(file.ids.tolist(), pyarrow.string()), pyarrow.array(file.folds), *columns],
            names=["id", "fold", *file.classes],
            metadata={
                METADATA_KEY: json.dumps(
                    {"schema": SCHEMA, "classes": list(file.classes), "about": file.about}
                ).encode()
            },
        )
        file.path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, file.path)

    def turned(self, seed: int) -> None:
        """Writes the same rows in another order."""
        order = np.random.default_rng(seed).permutation(len(self.ids))
        self.write(ids=self.ids[order], folds=self.folds[order], probabilities=self.probabilities[order])


def write_family(root: Path, family: Family) -> tuple[Workspace, list[tuple[File, File]]]:
    """The workspace with all it needs, and each member's out-of-fold and test file as written."""
    shown = family.classes - family.absent  # classes that have rows
    members, truth = drawn(family.seed, family.members, family.rows, shown, signal=2.0)
    members = np.concatenate([members, np.full((*members.shape[:2], int(family.absent)), 0.01)], axis=2)
    members /= members.sum(axis=2, keepdims=True)
    if family.equal:
        members[:] = members[0]
    classes = tuple(f"c{number}" for number in range(family.classes))
    ids = np.array([f"r{row:03d}" for row in range(family.rows)])
    test = np.array(["007", "1e5", "NA", "a,b"])
    units = np.arange(family.rows) // 3 if family.grouped else np.arange(family.rows)
    folds = np.random.default_rng(family.seed).permutation(units.max() + 1)[units] % family.folds
    _write_tables(root, family, classes, ids, truth, units, test)
    assignment = Folds(ids, folds[:, None])
    files = []
    for place in range(family.members):
        folder = root / "runs" / f"m{place}"
        assignment.write(folder / "folds.csv")
        about = {"run": f"m{place}", "views": "plain", "ids": ids_fingerprint(test), "checkpoints": {}}
        rng = np.random.default_rng([family.seed, 0 if family.equal else place])
        shares = softmax(rng.normal(size=(family.folds * len(test), family.classes))).astype(np.float32)
        where = folder / "predictions" / "plain"
        pair = (
            File(where / "oof.parquet", ids, folds, classes, members[place], about),
            File(
                where / "test.parquet",
                np.tile(test, family.folds),
                np.repeat(np.arange(family.folds), len(test)),
                classes,
                shares,
                about,
            ),
        )
        for file in pair:
            file.write(about={**about, "folds": assignment.fingerprint()} if file is pair[0] else about)
        files.append(pair)
    return Workspace.open(root), files


def _write_tables(
    root: Path,
    family: Family,
    classes: tuple[str, ...],
    ids: np.ndarray,
    truth: np.ndarray,
    units: np.ndarray,
    test: np.ndarray,
) -> None:
    data = root / "data"
    (data / "images").mkdir(parents=True)
    lines = [f"{name},{classes[label]},g{unit}" for name, label, unit in zip(ids, truth, units, strict=True)]
    (data / "train.csv").write_text("\n".join(["id,label,group", *lines]) + "\n")
    (data / "classes.csv").write_text("\n".join(["label", *classes]) + "\n")
    quoted = [f'"{name}"' if "," in name else name for name in test]
    (data / "sample_submission.csv").write_text("id,label\n" + "".join(f"{name},c0\n" for name in quoted))
    config = {"data": {"class_list": "data/classes.csv"}, "metric": family.metric}
    if family.grouped:
        config["data"]["group"] = "group"  # type: ignore[index]
    (root / "config.json").write_text(json.dumps(config))
