"""Does consistency on test rows help where few rows have labels, and does the out-of-fold score show it?

    python -m benchmarks.fixmatch [--labelled 100] [--test 300] [--draws 4] [--epochs 40]

scikit-learn's digits, of which so many have labels. The run without test rows has as many steps. Both predict the same
held-out rows and the same test rows, by two folds of a small network. Strong views mirror nothing. Gains are means over
draws with their 95 % interval by Student's t.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_digits

from benchmarks.paired import interval
from kit.data.predictions import Predictions
from kit.stages.demo.digits import DEMO_CONFIG
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train

STRONG = {"name": "randaugment", "hflip": 0.0, "scale": [0.7, 1.0]}
BASE = "labelled rows alone"
WAYS: dict[str, list[str]] = {
    BASE: ["loss=cross_entropy"],
    "`loss=fixmatch`": ["loss=fixmatch", f"loss.strong={json.dumps(STRONG)}"],
    "`loss=fixmatch loss.threshold=0.8`": [
        "loss=fixmatch",
        f"loss.strong={json.dumps(STRONG)}",
        "loss.threshold=0.8",
    ],
}


def draw(root: Path, labelled: int, test: int, seed: int, epochs: int) -> dict[str, np.ndarray]:
    """Writes the competition; returns the true digit of each row by split."""
    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))[: labelled + test]
    (root / "data" / "images").mkdir(parents=True)
    truth: dict[str, np.ndarray] = {}
    for name, rows in (("train", order[:labelled]), ("sample_submission", order[labelled:])):
        with (root / "data" / f"{name}.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(("image_id", "digit"))
            for row in rows.tolist():
                lines.writerow((f"{row:04d}", digits.target[row] if name == "train" else 0))
                image = np.clip(digits.images[row] * 16, 0, 255).astype(np.uint8)
                large = cv2.resize(image, (32, 32), interpolation=cv2.INTER_CUBIC)
                cv2.imwrite(str(root / "data" / "images" / f"{row:04d}.png"), large)
        truth[name] = digits.target
    data = {**DEMO_CONFIG["data"], "images": "data/images/{image_id}.png"}
    config = {**DEMO_CONFIG, "data": data, "epochs": epochs, "batch_size": 16, "workers": 0, "seed": seed}
    config |= {"metric": "accuracy", "precision": "float32", "validate_every": epochs, "device": "cpu"}
    config |= {
        "splitter": {"name": "stratified_kfold", "folds": 2},
        "backbone": {"name": "small", "width": 8},
        "optimizer": {"name": "adamw", "lr": 0.01},
        "ema_decay": 0.95,
    }
    (root / "config.json").write_text(json.dumps(config))
    return truth


def accuracy(predictions: Predictions, truth: np.ndarray) -> float:
    """The share of rows whose most probable class is right."""
    mean = predictions.mean()
    named = np.array(predictions.classes)[mean.probabilities.argmax(axis=1)].astype(int)
    return float((named == truth[mean.ids.astype(int)]).mean())


def measure(seed: int, labelled: int, test: int, epochs: int) -> dict[str, tuple[float, float]]:
    """Accuracies out of fold and on the test rows, by way."""
    scores: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        truth = draw(root, labelled, test, seed, epochs)["train"]
        for place, (way, overrides) in enumerate(WAYS.items()):
            run = train(root, overrides, name=f"r{place}")
            tta(root, [f"runs/{run.name}"])
            plain = run.predictions("plain")
            read = [Predictions.read(plain / f"{split}.parquet") for split in ("oof", "test")]
            scores[way] = accuracy(read[0], truth), accuracy(read[1], truth)
    return scores


def print_table(rounds: Sequence[Mapping[str, tuple[float, float]]]) -> None:
    """Prints a row per way of training; `found` has a draw each."""
    base = np.array([each[BASE] for each in rounds])
    print("| loss | out of fold | test | gain out of fold (95 %) | gain on test rows (95 %) |")
    print("|---|---|---|---|---|")
    for way in WAYS:
        scores = np.array([each[way] for each in rounds])
        held, test = scores.mean(axis=0)
        gains = ["", ""] if way == BASE else [interval(each) for each in (scores - base).T]
        print(f"| {way} | {held:.3f} | {test:.3f} | {gains[0]} | {gains[1]} |")


def main() -> None:
    """Prints a row for each way of training."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labelled", type=int, default=100)
    parser.add_argument("--test", type=int, default=300)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=40)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    started = time.process_time()
    draws = range(options.draws)
    print_table([measure(seed, options.labelled, options.test, options.epochs) for seed in draws])
    print(f"{time.process_time() - started:.0f} s of CPU time")


if __name__ == "__main__":
    main()
