"""A team's first week in one command: the same small network and budget for each technique, scored out of fold.

    python benchmarks/techniques.py COMPETITION [--steps 900] [--arch resnet10t] [--size 96] [--only cutmix,mixup]
        [--group shelf]

COMPETITION is a folder that `kit init` understands; the row of group-wise smoothing needs a column of its classes file.
Every row trains the same network from random weights for the same number of optimizer steps of 32 rows, on the same two
folds; only the technique differs. With --group, a column of the training table such as benchmarks/shelves.py makes, the
folds keep its values whole. The test rows and the leaderboard are not looked at.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import kit
from kit.core.files import read_json, write_json
from kit.data.predictions import Predictions
from kit.experiment.dry_run import dry_run
from kit.runs.run import Run
from kit.stages.discovery.initialise import initialise
from kit.stages.training.train import train

PIPELINE = [  # what the team used: an OneOf of distortions after the usual geometry
    {"name": "RandomResizedCrop", "scale": [0.5, 1.0]},
    {"name": "HorizontalFlip", "p": 0.5},
    {
        "name": "Affine",
        "translate_percent": [-0.06, 0.06],
        "scale": [0.9, 1.1],
        "rotate": [-20, 20],
        "p": 0.5,
    },
    {
        "name": "OneOf",
        "p": 0.5,
        "transforms": [
            {"name": "RandomBrightnessContrast"},
            {"name": "HueSaturationValue"},
            {"name": "GaussianBlur"},
        ],
    },
]
RESIZE: dict[str, Any] = {"augmenter": "resize", "loss": "cross_entropy"}
AUGMENTED: dict[str, Any] = {**RESIZE, "augmenter": {"name": "albumentations", "transforms": PIPELINE}}
TECHNIQUES: dict[str, dict[str, Any]] = {
    "plain": RESIZE,
    "undersampling": {**RESIZE, "sampler": "undersample"},
    "undersampling + offline copies": {
        **RESIZE,
        "sampler": "undersample",
        "augmenter": {"name": "copies", "variants": 6},
    },
    "offline copies": {**RESIZE, "augmenter": {"name": "copies", "variants": 6}},
    "albumentations": AUGMENTED,
    "label smoothing": {**AUGMENTED, "loss": "label_smoothing"},
    "group-wise smoothing": {**AUGMENTED, "loss": "group_smoothing"},
    "cutmix": {**AUGMENTED, "loss": "cutmix"},
    "mixup": {**AUGMENTED, "loss": "mixup"},
    "ArcFace + GeM": {**AUGMENTED, "loss": "arcface", "pooling": "gem"},
}


def main() -> None:
    """Trains a run a technique, and prints a table row as each ends."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("competition", type=Path)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--arch", default="resnet10t")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--group-column", default="shape_group")
    parser.add_argument("--only", default="")
    parser.add_argument("--group", default=None)
    options = parser.parse_args()
    wanted = [name for name in TECHNIQUES if not options.only or name in options.only.split(",")]
    print(f"{options.arch}, {options.size} px, 2 folds, {options.steps} steps of 32 rows a fold")
    print(
        "| technique | macro F1 | fold 0 | fold 1 | accuracy | epochs | time |\n|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        root = prepared(Path(folder), options)
        for name in wanted:
            print(row(root, name, options.steps), flush=True)


def prepared(root: Path, options: argparse.Namespace) -> Path:
    """A workspace over the competition's files, as `kit init` makes it, with the budget's keys."""
    for entry in options.competition.resolve().iterdir():
        (root / entry.name).symlink_to(entry)
    (root / "config.json").unlink(missing_ok=True)
    initialise(root, recipe="scratch", given={"group": options.group} if options.group else None)
    config = read_json(root / "config.json")
    config["data"]["superclasses"] = options.group_column
    config |= {
        "backbone": {"name": "timm", "arch": options.arch},
        "image_size": options.size,
        "batch_size": 32,
        "splitter": {**config["splitter"], "folds": 2},
        "validate_every": 1000,
        "save_every": 1000,
    }
    write_json(root / "config.json", config)
    return root


def row(root: Path, name: str, steps: int) -> str:
    """Trains one technique for as many epochs as the steps allow, and returns its line of the table."""
    start = time.monotonic()
    run, epochs = trained(root, name, steps)
    spent = time.monotonic() - start
    about = Predictions.read(run.predictions("plain") / "oof.parquet").provenance
    folds = [about.require_fold_scores()[fold]["macro_f1"] for fold in ("0", "1")]
    scores = about.require_scores()
    return (
        f"| {name} | **{scores['macro_f1']:.3f}** | {folds[0]:.3f} | {folds[1]:.3f} | {scores['accuracy']:.3f} | "
        f"{epochs} | {spent / 60:.1f} min |"
    )


def trained(root: Path, name: str, steps: int) -> tuple[Run, int]:
    """A run of one technique, and for how many epochs it was trained."""
    base = read_json(root / "config.json")
    write_json(root / "config.json", {**base, **TECHNIQUES[name]})
    try:
        rehearsal = dry_run(kit.Workspace.open(root), "rehearsal")
        epochs = max(1, round(steps / rehearsal.steps_per_epoch))
        return train(root, [f"epochs={epochs}"], name=name.replace(" ", "-")), epochs
    finally:
        write_json(root / "config.json", base)


if __name__ == "__main__":
    main()
