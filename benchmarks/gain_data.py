"""Photos as cached vectors, and the small competitions that benchmarks/gains.py makes from them.

A competition is a folder with its tables and the vectors as an embedded run, so that `kit train backbone=embeddings`
trains a head in seconds. Files of images stand in their folder, but they have no pixels.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.workspaces import link_competition, run_kit
from kit.config.workspace import Workspace
from kit.core.files import read_json, write_json
from kit.data.embeddings import Embeddings
from tests.drawn_bags import write_embeddings

EMBEDDED = "bare"
CONFIG: dict[str, Any] = {
    "backbone": {"name": "embeddings", "run": EMBEDDED},
    "loss": "cross_entropy",
    "optimizer": {"name": "adamw", "lr": 0.002, "weight_decay": 0.05},
    "scheduler": {"name": "cosine", "warmup": 0.1},
    "splitter": {"name": "column", "column": "half"},
    "epochs": 20,
    "validate_every": 20,
    "batch_size": 64,
    "ema_decay": 0,
    "device": "cpu",
}


@dataclass(frozen=True)
class Photos:
    """Labelled photos: a table with id, label, scene and group (the class's parent), and vectors (N, features)."""

    table: pd.DataFrame
    vectors: np.ndarray

    def take(self, rows: np.ndarray) -> Photos:
        """The photos of some rows, by number."""
        return Photos(self.table.iloc[rows].reset_index(drop=True), self.vectors[rows])

    def with_columns(self, **columns: Any) -> Photos:
        """The same photos with other values in columns."""
        return Photos(self.table.assign(**columns), self.vectors)

    def __len__(self) -> int:
        return len(self.table)


def embed_photos(competition: Path, weights: Path, network: str, scene: str, folder: Path) -> Photos:
    """Embeds the photos of a competition once, by a network with weights of another task, and returns them."""
    link_competition(competition, folder)
    if not (folder / "config.json").is_file():
        run_kit(folder, "init", "--weights", str(weights.resolve()), "--network", network, "--group", scene)
    if not (folder / "runs" / EMBEDDED).is_dir():
        run_kit(folder, "embed", "--untrained", EMBEDDED)
    embeddings = Embeddings.read(folder / "runs" / EMBEDDED / "embeddings/plain/untrained").train
    data = read_json(folder / "config.json")["data"]
    table = pd.read_csv(folder / "train.csv", dtype=str).set_index(data["id"]).loc[embeddings.ids.tolist()]
    classes = pd.read_csv(folder / "classes.csv", dtype=str)
    parents = dict(zip(classes.iloc[:, 0], classes.iloc[:, 1], strict=True))
    labels = table[data["label"]].to_numpy()
    frame = pd.DataFrame(
        {
            "id": embeddings.ids,
            "label": labels,
            "scene": table[scene].to_numpy(),
            "group": [parents[each] for each in labels],
        }
    )
    return Photos(frame, np.asarray(embeddings.vectors, np.float32))


def write_space(
    root: Path,
    train: Photos,
    test: Photos | None = None,
    *,
    data: dict[str, Any] | None = None,
    **config: Any,
) -> Workspace:
    """Writes a competition of vectors. Its folds are the values of the column `half`, without blank ones.

    Without `test`, two rows stand for the rows to predict. A competition that is there already is kept.
    """
    if (root / "complete").is_file():
        return Workspace.open(root)
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    test_photos = train.take(np.arange(2)) if test is None else test
    # a row may be in both tables, under two names; nothing reads the files, but tables must find them
    names = [f"t-{each}" for each in test_photos.table["id"]]
    (root / "images").mkdir()
    for name in [*train.table["id"], *names]:
        (root / "images" / f"{name}.jpg").write_text(name)
    train.table.to_csv(root / "train.csv", index=False)
    sample = pd.DataFrame({"id": names, "label": train.table["label"].iloc[0]})
    sample.to_csv(root / "sample_submission.csv", index=False)
    parents = train.table[["label", "group"]].drop_duplicates().sort_values("label")
    parents.to_csv(root / "classes.csv", index=False)
    keys = {
        "train": "train.csv",
        "sample": "sample_submission.csv",
        "id": "id",
        "label": "label",
        "images": "images/{id}",
        "test_images": "images/{id}",
        "group": "scene",
        **(data or {}),
    }
    write_json(root / "config.json", {**CONFIG, **config, "data": keys})
    vectors = dict(zip(train.table["id"], train.vectors, strict=True))
    vectors |= dict(zip(names, test_photos.vectors, strict=True))
    write_embeddings(root, vectors, EMBEDDED)
    (root / "complete").touch()
    return Workspace.open(root)


def in_halves(photos: Photos, seed: int) -> Photos:
    """The photos with a column `half` of two halves of whole scenes."""
    _, second = halve_scenes(photos, seed)
    halves = np.zeros(len(photos), int)
    halves[second] = 1
    return photos.with_columns(half=halves)


def halve_scenes(photos: Photos, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of two halves of whole scenes, with about as many rows of each class in both."""
    rng = np.random.default_rng(seed)
    sides = np.zeros(len(photos), bool)
    for _, rows in photos.table.groupby("label"):
        balance = 0
        sizes = rows["scene"].value_counts()
        for scene in sorted(rng.permutation(np.asarray(sizes.index)), key=lambda each: -sizes[each]):
            side = balance < 0 or (balance == 0 and rng.random() < 0.5)
            balance += int(sizes[scene]) if side else -int(sizes[scene])
            sides[rows.index[rows["scene"] == scene]] = side
    return np.flatnonzero(~sides), np.flatnonzero(sides)


def cut_to_tail(photos: Photos, ratio: float, seed: int) -> np.ndarray:
    """Row numbers with class counts that fall geometrically, from those of the largest class to 1 / ratio of them.

    Classes with more rows come first, so that most of the ratio is reached. A class keeps at least one row.
    """
    rng = np.random.default_rng(seed)
    counts = photos.table["label"].value_counts()
    order = sorted(rng.permutation(np.asarray(counts.index)), key=lambda each: -counts[each])
    kept = []
    for place, label in enumerate(order):
        wanted = round(counts.max() * ratio ** (-place / (len(order) - 1)))
        rows = np.flatnonzero(photos.table["label"] == label)
        kept.append(rng.permutation(rows)[: max(1, min(wanted, len(rows)))])
    return np.sort(np.concatenate(kept))
