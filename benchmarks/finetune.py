"""Fine-tuning recipes at equal processor time: the default of kit init and other recipes, on folds of whole scenes.

    python -m benchmarks.finetune COMPETITION --weights FILE --network NAME [--epochs 6] [--folds 5]
        [--only default,heavy] [--score leaderboard/score.py] [--keep FOLDER]

COMPETITION is a folder that `kit init` understands, with a script that scores a submission and prints `macro F1 0.12`.
Each recipe trains fold 0. `--epochs` are those of the default; recipes of other sizes or with frozen layers get as many
as take the same time. The score is of the held-out rows with hflip, the gain that over the default, paired, with whole
scenes resampled. Every submission is a row of the table.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.workspaces import link_competition, run_kit
from kit.config.workspace import Workspace
from kit.core.files import read_json, write_json
from kit.data.predictions import Predictions
from kit.data.table import read_labelled_rows
from kit.evaluation.bootstrap import common_rows, compute_gains
from kit.evaluation.competition import metric_of

SMOOTHED = {"name": "label_smoothing", "smoothing": 0.1}
MIXED = {"name": "cutmix_or_mixup", "probability": 0.5, "stop_after": 0.75, "base": SMOOTHED}


@dataclass(frozen=True)
class Recipe:
    """What a recipe changes of the default, and how many times as long an epoch of it takes."""

    changes: dict[str, Any]
    epoch_time: float = 1.0


RECIPES = {
    "default": Recipe({}),
    "lr 0.0003": Recipe({"optimizer": {"name": "adamw", "lr": 3e-4, "weight_decay": 0.05}}),
    "lr 0.003": Recipe({"optimizer": {"name": "adamw", "lr": 3e-3, "weight_decay": 0.05}}),
    "layer decay 0.9": Recipe({"layer_decay": 0.9}),
    "body at a third of the rate": Recipe({"optimizer.lr": 3.3e-4, "lr_scales": {"head": 3.0}}),
    "progressive sizes": Recipe(
        {"stages": [{"epochs": 1, "image_size": 64}, {"epochs": 1, "image_size": 80}, {"image_size": 96}]}
    ),
    "heavy": Recipe({"augmenter": {"name": "heavy"}}),
    "randaugment": Recipe({"augmenter": {"name": "randaugment"}}),
    "heavy, mixed": Recipe({"augmenter": {"name": "heavy"}, "loss": MIXED}),
    "160 px": Recipe({"image_size": 160}, (160 / 224) ** 2),
    "192 px": Recipe({"image_size": 192}, (192 / 224) ** 2),
    "256 px": Recipe({"image_size": 256}, (256 / 224) ** 2),
    "all layers": Recipe({"stages": []}, 1.35),
    "no average of weights": Recipe({"ema_decay": 0.0}),
    "head alone": Recipe({"stages": [{"freeze": ["backbone"]}]}),
    "head then all": Recipe(
        {"stages": [{"epochs": 1, "freeze": ["backbone"], "scheduler": "cosine"}, {"lr_scale": 0.3}]}
    ),
    "bitfit": Recipe({"stages": [], "adapter": "bitfit", "optimizer.lr": 0.005}),
    "lora": Recipe({"stages": [], "adapter": "lora", "optimizer.lr": 0.005}),
}


def main() -> None:
    """Trains each recipe, and prints a table row as each ends."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("competition", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--network", required=True)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--group", default="scene")
    parser.add_argument("--size", type=int, help="side of images in pixels; by default kit init's")
    parser.add_argument("--only", default="")
    parser.add_argument("--score", type=Path, default=Path("leaderboard/score.py"))
    parser.add_argument("--keep", type=Path, help="a folder for the workspace; by default a temporary one")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else list(RECIPES)
    print("| recipe | epochs | processor time | held out | gain over the default (95 %) | leaderboard |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        root = prepare(options.keep or Path(folder), options)
        for name in dict.fromkeys(["default", *wanted]):
            print(train(root, name, options), flush=True)


def prepare(root: Path, options: argparse.Namespace) -> Path:
    """A workspace of links to the competition's files, with the config of kit init for a file of weights."""
    link_competition(options.competition, root)
    if not (root / "config.json").is_file():
        weights = ["--weights", str(options.weights.resolve()), "--network", options.network]
        kit(root, "init", *weights)
        config = read_json(root / "config.json")
        config["data"]["group"] = options.group
        if options.size:
            config |= {"image_size": options.size, "cache_size": None}
        splitter = {"name": "stratified_group_kfold", "folds": options.folds}
        write_json(root / "config.json", {**config, "splitter": splitter, "validate_every": 100})
    return root


def kit(root: Path, *arguments: str) -> float:
    """Runs a command of kit, and returns its seconds of processor time."""
    before = spent()
    run_kit(root, *arguments)
    return spent() - before


def spent() -> float:
    """Processor seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def train(root: Path, name: str, options: argparse.Namespace) -> str:
    """Trains and predicts with a recipe, and returns its row of the table."""
    recipe, run = RECIPES[name], re.sub(r"[^a-z0-9]+", "-", name)
    epochs = max(1, round(options.epochs / recipe.epoch_time))
    changes = {**recipe.changes, "epochs": epochs}
    overrides = [f"{key}={json.dumps(value)}" for key, value in changes.items()]
    seconds = kit(root, "train", "--name", run, "--folds", "0", *overrides)
    kit(root, "tta", "--checkpoints", f"runs/{run}", "--views", "hflip")
    score, gain = compared(root, run)
    board = submitted(root, run, options)
    return f"| {name} | {epochs} | {seconds:.0f} s | {score:.4f} | {gain} | {board:.4f} |"


def compared(root: Path, run: str) -> tuple[float, str]:
    """The score of a run on the held-out rows, and its gain over the default's."""
    space = Workspace.open(root)
    table = read_labelled_rows(root, space.competition.data)
    metric = metric_of(space, table)
    one, other = (read(root, name, "oof") for name in (run, "default"))
    rows, mine, default = common_rows(one, other, table)
    score = metric.score(rows.targets(), mine)
    if run == "default":
        return score, ""
    (gain,) = compute_gains(metric, rows.targets(), mine, {"default": default}, rows.groups)
    return score, f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"


def read(root: Path, run: str, part: str) -> Predictions:
    return Predictions.read(root / "runs" / run / "predictions/hflip" / f"{part}.parquet")


def submitted(root: Path, run: str, options: argparse.Namespace) -> float:
    """The leaderboard's score of a run's labels for the test rows."""
    predictions = read(root, run, "test").mean()
    labels = np.array(predictions.classes)[predictions.probabilities.argmax(axis=1)]
    file = root / f"{run}.csv"
    sample = pd.read_csv(root / "sample_submission.csv", dtype=str)
    label_of_id = pd.Series(labels, index=predictions.ids)
    sample[sample.columns[1]] = label_of_id[sample[sample.columns[0]]].to_numpy()
    sample.to_csv(file, index=False)
    script = options.score if options.score.is_absolute() else options.competition.resolve() / options.score
    process = subprocess.run(
        [sys.executable, str(script), str(file)], capture_output=True, text=True, check=True
    )
    match = re.search(r"macro F1 ([0-9.]+)", process.stdout)
    assert match, process.stdout
    return float(match[1])


if __name__ == "__main__":
    main()
