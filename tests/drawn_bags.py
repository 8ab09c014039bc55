"""Bags that tests draw: tables of images with an answer each, and their vectors as an embedded run, without pixels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kit.config.workspace import Workspace
from kit.data import embeddings
from kit.data.embeddings import SPLITS, EmbeddingProvenance
from kit.data.folds import make_folds
from kit.data.predictions import ids_fingerprint
from kit.data.table import test_table as rows_to_predict
from kit.data.table import train_table
from kit.kinds import Splitter
from kit.runs.run import STATE_UNTRAINED, Run, begin, config_identity

CONFIG = {
    "splitter": {"name": "stratified_kfold", "folds": 2},
    "optimizer": {"name": "adamw", "lr": 0.01},
    "metric": "auc",
    "format": {"name": "binary_probability"},
    "epochs": 2,
    "batch_size": 8,
    "ema_decay": 0,
    "device": "cpu",
}


def draw_bags(
    root: Path,
    bags: Sequence[np.ndarray],
    labels: Sequence[int],
    train: int,
    folds: int = 2,
    run: str = "bare",
) -> Path:
    """Writes a competition of bags of vectors (T, features), the first `train` of them labelled, and the run `bare`.

    Image t of bag b is `b_t`; the columns bag and slice say so, and the file of slices is in another order.
    """
    rng = np.random.default_rng(0)
    images = root / "data" / "images"
    images.mkdir(parents=True)
    rows = [
        (f"{bag:03d}_{place:02d}", f"b{bag:03d}", place, bag)
        for bag, each in enumerate(bags)
        for place in range(len(each))
    ]
    for name, *_ in rows:
        (images / f"{name}.png").write_bytes(name.encode())
    shuffled = [rows[at] for at in rng.permutation(len(rows))]
    lines = [
        f"{name},{bag},{place},{'yes' if labels[at] else 'no'}"
        for name, bag, place, at in shuffled
        if at < train
    ]
    (root / "data" / "train.csv").write_text("\n".join(["id,bag,slice,label", *lines]) + "\n")
    lines = [f"{name},{bag},{place}" for name, bag, place, at in shuffled if at >= train]
    (root / "data" / "test.csv").write_text("\n".join(["id,bag,slice", *lines]) + "\n")
    lines = [f"b{bag:03d},0.5" for bag in range(train, len(bags))]
    (root / "data" / "sample_submission.csv").write_text("\n".join(["bag,yes", *lines]) + "\n")
    splitter = {"name": "stratified_kfold", "folds": folds}
    data = {"test": "data/test.csv", "answer": "bag"}
    (root / "config.json").write_text(json.dumps({**CONFIG, "splitter": splitter, "data": data}))
    write_embeddings(root, {name: bags[at][place] for name, _, place, at in rows}, run)
    return root


def write_embeddings(root: Path, vectors: dict[str, np.ndarray], name: str) -> None:
    """Writes vectors by id, brought to length 1, as a run that an untrained network has embedded."""
    workspace = Workspace.open(root)
    table = train_table(workspace).sort_by_id()
    test = rows_to_predict(workspace)
    folds = make_folds(table, workspace.experiment.open(Splitter), workspace.experiment.split_seed)
    run = Run(workspace.runs / name)
    experiment = workspace.experiment
    begin(run, {**config_identity(experiment), STATE_UNTRAINED: True}, experiment.model_dump(mode="json"), {})
    folds.write(run.folder / "folds.csv")
    folder = run.embeddings("plain") / STATE_UNTRAINED
    folder.mkdir(parents=True)
    for split, each in zip(SPLITS, (table, test), strict=True):
        features = len(next(iter(vectors.values())))
        array = embeddings.create_memmap(folder, split, each.ids, features)
        for row, key in enumerate(each.ids.tolist()):
            length = np.linalg.norm(vectors[key])
            array[row] = vectors[key] / length if length else 0
        if isinstance(array, np.memmap):
            array.flush()
    ids = {split: ids_fingerprint(each.ids) for split, each in zip(SPLITS, (table, test), strict=True)}
    provenance = EmbeddingProvenance(
        name,
        "plain",
        "mean",
        table.classes,
        {},
        folds.fingerprint(),
        "seed 0",
        ids,
        dict.fromkeys(SPLITS, "drawn"),
    )
    embeddings.write_manifest(folder, provenance)
