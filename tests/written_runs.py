"""A competition of nine training and four test rows with two runs, written by hand for the tests of blending."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kit.config.workspace import Workspace
from kit.data.folds import Folds
from kit.data.predictions import Predictions, Provenance, ids_fingerprint

CLASSES = ("ant", "bee", "cat")
TRAIN = tuple(f"t{n}" for n in range(9))
LABELS = tuple(CLASSES[n % 3] for n in range(9))
PEOPLE = tuple(f"p{n // 3}" for n in range(9))
FOLDS = tuple(n // 3 for n in range(9))  # one person a fold
TEST = ("007", "1e5", "NA", "a,b")


def shares(truth: Sequence[int], sure: float, wrong: Sequence[int] = ()) -> np.ndarray:
    """Rows that give `sure` to the true class, or to the next one where they are wrong."""
    classes = np.array([(label + (row in wrong)) % 3 for row, label in enumerate(truth)])
    rows = np.full((len(classes), 3), (1 - sure) / 2)
    rows[np.arange(len(classes)), classes] = sure
    return rows.astype(np.float32)


def write_run(
    root: Path,
    run: str,
    *,
    views: str = "plain",
    sure: float = 0.8,
    wrong: Sequence[int] = (),
    folds: Sequence[int] = FOLDS,
    oof_folds: Sequence[int] | None = None,
    classes: Sequence[str] = CLASSES,
    rows: Sequence[int] = tuple(range(9)),
    test: Sequence[str] = TEST,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """runs/<run> with folds.csv and predictions/<views>; test rows are of classes 0 1 2 0."""
    folder = root / "runs" / run
    assignment = Folds(np.array(TRAIN, dtype=str), np.array(folds)[:, None])
    assignment.write(folder / "folds.csv")
    marks = Provenance(run=run, views=views, ids=ids_fingerprint(test), checkpoints={"0": f"0012:{run}"})
    kept = list(rows)
    oof = Predictions(
        np.array(TRAIN, dtype=str)[kept],
        np.array(oof_folds if oof_folds is not None else folds)[kept],
        tuple(classes),
        shares([n % 3 for n in range(9)], sure, wrong)[kept],
        replace(marks, **{"rows": "oof", "folds": assignment.fingerprint(), **(about or {})}),
    )
    oof.write(folder / "predictions" / views / "oof.parquet")
    per_fold = shares([n % 3 for n in range(len(test))], sure)
    Predictions(
        np.array([*test, *test], dtype=str),
        np.repeat([0, 1], len(test)),
        tuple(classes),
        np.concatenate([per_fold, per_fold[:, [0, 2, 1]]]),
        replace(marks, rows="test"),
    ).write(folder / "predictions" / views / "test.parquet")
    return folder


def competition(root: Path, *, cells: str = ",ant", header: str = "id,label", **config: Any) -> Workspace:
    """A workspace with tables, images that are copies, and runs a (d4 and plain views) and b, wrong once."""
    images = root / "data" / "images"
    images.mkdir(parents=True)
    for name in (*TRAIN, *TEST):
        (images / f"{name}.png").write_bytes(b"the same")
    lines = [f"{row},{label},{person}" for row, label, person in zip(TRAIN, LABELS, PEOPLE, strict=True)]
    (root / "data" / "train.csv").write_text("\n".join(["id,label,person", *lines]) + "\n")
    quoted = [f'"{name}"' if "," in name else name for name in TEST]
    sample = "\n".join([header, *(f"{name}{cells}" for name in quoted)]) + "\n"
    (root / "data" / "sample_submission.csv").write_text(sample)
    data = {"group": "person", **config.pop("data", {})}
    (root / "config.json").write_text(json.dumps({"data": data, "metric": "accuracy", **config}))
    write_run(root, "a")
    write_run(root, "a", views="d4", sure=0.7)
    write_run(root, "b", sure=0.6, wrong=[4])
    return Workspace.open(root)


def answer_competition(root: Path, **config: Any) -> Workspace:
    """The competition, with one label and one answer for the three images of a person."""
    data = {"answer": "person", "group": None, "test": "data/test.csv"}
    workspace = competition(root, data=data, **config)
    lines = [f"t{row},{('ant', 'bee', 'cat')[row // 3]},p{row // 3}" for row in range(9)]
    (root / "data" / "train.csv").write_text("\n".join(["id,label,person", *lines]) + "\n")
    (root / "data" / "test.csv").write_text('id,person\n007,x\n1e5,x\nNA,y\n"a,b",y\n')
    (root / "data" / "sample_submission.csv").write_text("person,ant,bee,cat\nx,0.2,0.3,0.5\ny,0.2,0.3,0.5\n")
    return workspace


def without_folds(workspace: Workspace, run: str = "b") -> Workspace:
    """Makes a run one that was imported without folds."""
    folder = workspace.runs / run
    (folder / "folds.csv").unlink()
    (folder / "predictions" / "plain" / "oof.parquet").unlink()
    (folder / "manifest.json").write_text('{"asked": {"imported": {}}}')
    return workspace
