"""Does consistency on test rows help where few rows have labels, and what do labels of its own cost?

    python -m benchmarks.fixmatch [--labelled 100] [--test 500] [--seeds 3] [--epochs 40]

scikit-learn's digits, of which so many have labels. The run without test rows has as many steps. Both predict the same
held-out rows and the same test rows, by three folds of a small network. Strong views mirror nothing. A few minutes on
one core.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import warnings
from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_digits

from kit.data.predictions import Predictions
from kit.stages.demo.digits import DEMO_CONFIG
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train

STRONG = {"name": "randaugment", "hflip": 0.0, "scale": [0.7, 1.0]}
WAYS: dict[str, list[str]] = {
    "labelled rows alone": ["loss=cross_entropy"],
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
    (root / "config.json").write_text(json.dumps({**config, "metric": "accuracy", "precision": "float32"}))
    return truth


def accuracy(made: Predictions, truth: np.ndarray) -> float:
    """The share of rows whose most probable class is right."""
    mean = made.mean()
    named = np.array(made.classes)[mean.probabilities.argmax(axis=1)].astype(int)
    return float((named == truth[mean.ids.astype(int)]).mean())


def main() -> None:
    """Prints a row for each way of training."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labelled", type=int, default=100)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            truth = draw(root, options.labelled, options.test, seed, options.epochs)["train"]
            for place, (way, overrides) in enumerate(WAYS.items()):
                run = train(root, overrides, name=f"r{place}")
                tta(root, [f"runs/{run.name}"])
                plain = run.predictions("plain")
                read = [Predictions.read(plain / f"{split}.parquet") for split in ("oof", "test")]
                found[way].append((accuracy(read[0], truth), accuracy(read[1], truth)))
                print(seed, way, found[way][-1], flush=True)
    base = np.array(next(iter(found.values())))
    print("| loss | out of fold | test | gain in test |")
    print("|---|---|---|---|")
    for way, values in found.items():
        scores = np.array(values)
        gains = (scores - base)[:, 1]
        error = gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
        print(
            f"| {way} | {scores[:, 0].mean():.3f} | {scores[:, 1].mean():.3f} | {gains.mean():+.3f} ± {error:.3f} |"
        )


if __name__ == "__main__":
    main()
