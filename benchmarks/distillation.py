"""Does a small network learn more from the soft labels of another framework's model than from labels alone?

    python -m benchmarks.distillation COMPETITION --weights FILE --network NAME [--epochs 20] [--size 32]
        [--equal-steps]

The teacher is scikit-learn's logistic regression on the vectors of a frozen network, one model per fold of whole
scenes, which `kit runs import` takes. The student is a network of six convolutions. It is trained on the labels alone,
or with `kit pseudo-labels` of the teacher on the test photos, for as many epochs or, with `--equal-steps`, steps. The
gain is paired, with whole scenes resampled. The answers of the test rows are not used.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from benchmarks.gain_data import EMBEDDED, embed_photos
from benchmarks.workspaces import link_competition, run_kit
from kit.config.workspace import Workspace
from kit.core.files import read_json, write_json
from kit.data.embeddings import Embeddings
from kit.data.folds import Folds
from kit.data.predictions import Predictions
from kit.data.table import read_labelled_rows
from kit.evaluation.bootstrap import common_rows, compute_gains
from kit.evaluation.competition import metric_of

STUDENTS = {
    "labels": [],
    "`loss=distillation`": ["loss=distillation", "pseudo_labels=pseudo_labels/soft"],
    "`loss=cross_entropy` on soft labels": ["pseudo_labels=pseudo_labels/soft"],
}


def main() -> None:
    """Trains the teacher and the students, and prints a table row for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("competition", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--network", required=True)
    parser.add_argument("--scene", default="shelf", help="the column of scenes")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--equal-steps", action="store_true", help="fewer epochs with the test photos")
    parser.add_argument("--keep", type=Path, help="a folder for the vectors; by default a temporary one")
    options = parser.parse_args()
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        kept = options.keep or Path(folder) / "embedded"
        embed_photos(options.competition, options.weights, options.network, options.scene, kept)
        vectors = Embeddings.read(kept / "runs" / EMBEDDED / "embeddings/plain/untrained")
        root = prepare(Path(folder) / "student", options)
        teach(root, vectors)
        table = read_labelled_rows(root, Workspace.open(root).competition.data)
        extra = len(vectors.test) / (len(table) / 2)
        print("| trained on | epochs | macro F1 | gain over labels (95 %) |\n|---|---|---|---|")
        print(score(root, "teacher"), flush=True)
        for number, (name, changes) in enumerate(STUDENTS.items()):
            shorter = 1 + extra if changes and options.equal_steps else 1.0
            epochs = max(1, round(options.epochs / shorter))
            run_kit(root, "train", "--name", f"s{number}", f"epochs={epochs}", *changes)
            print(score(root, name, f"s{number}", epochs), flush=True)
    print(f"\n{time.process_time() - started:.0f} s of CPU time beside the commands")


def prepare(root: Path, options: argparse.Namespace) -> Path:
    """A workspace of links to the competition's files, with the recipe for random weights."""
    link_competition(options.competition, root)
    run_kit(root, "init", "--recipe", "scratch", "--group", options.scene)
    config = read_json(root / "config.json")
    config |= {
        "splitter": {"name": "stratified_group_kfold", "folds": 2},
        "backbone": {"name": "small", "width": 16, "stages": 3},
        "optimizer": {"name": "adamw", "lr": 0.005},
        "loss": "cross_entropy",
        "augmenter": "light",
        "image_size": options.size,
        "cache_size": None,
        "validate_every": 1000,
        "save_every": 1000,
    }
    write_json(root / "config.json", config)
    return root


def teach(root: Path, vectors: Embeddings) -> None:
    """Fits a logistic regression per fold, and imports its predictions as the run `teacher`."""
    run_kit(root, "folds", "--out", "folds.csv")
    folds = Folds.read(root / "folds.csv")
    table = read_labelled_rows(root, Workspace.open(root).competition.data).sort_by_id()
    labels = np.asarray(table.labels)[table.index_of(vectors.train.ids)]
    held_out, test = list[pd.DataFrame](), list[pd.DataFrame]()
    for fold in range(folds.count):
        held = np.isin(vectors.train.ids, folds.ids[folds.oof_mask(fold)])
        shown = np.asarray(vectors.train.vectors, np.float32)
        mean, deviation = shown[~held].mean(0), shown[~held].std(0) + 1e-6
        model = LogisticRegression(C=0.01, max_iter=500).fit((shown[~held] - mean) / deviation, labels[~held])
        names = [table.classes[number] for number in model.classes_]
        for rows, ids, into in (
            (shown[held], vectors.train.ids[held], held_out),
            (np.asarray(vectors.test.vectors, np.float32), vectors.test.ids, test),
        ):
            predicted = pd.DataFrame(model.predict_proba((rows - mean) / deviation), columns=names)
            predicted = predicted.reindex(columns=list(table.classes), fill_value=0.0)
            predicted.insert(0, table_id(root), ids)
            into.append(predicted.assign(fold=fold))
    pd.concat(held_out).to_csv(root / "oof.csv", index=False)
    pd.concat(test).to_csv(root / "test.csv", index=False)
    run_kit(root, "runs", "import", "test.csv", "--oof", "oof.csv", "--as", "teacher")
    run_kit(root, "pseudo-labels", "runs/teacher", "--soft", "--threshold", "0", "--name", "soft")


def table_id(root: Path) -> str:
    """The name of the column of ids."""
    return str(read_json(root / "config.json")["data"]["id"])


def score(root: Path, name: str, run: str = "teacher", epochs: int | None = None) -> str:
    """A row of the table; the first student is the one that the others are compared with."""
    space = Workspace.open(root)
    table = read_labelled_rows(root, space.competition.data)
    metric, first = metric_of(space, table), root / "runs/s0/predictions/plain/oof.parquet"
    predictions = Predictions.read(root / "runs" / run / "predictions/plain/oof.parquet")
    base = Predictions.read(first) if first.is_file() else predictions
    rows, mine, other = common_rows(predictions, base, table)
    value, gain = metric.score(rows.targets(), mine), ""
    if run not in ("teacher", "s0"):
        (interval,) = compute_gains(metric, rows.targets(), mine, {"labels": other}, rows.groups)
        gain = f"{interval.value:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"
    return f"| {name} | {'' if epochs is None else epochs} | {value:.3f} | {gain} |"


if __name__ == "__main__":
    main()
