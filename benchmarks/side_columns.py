"""Does a network learn from side columns what they know, and nothing if they know nothing?

    python benchmarks/side_columns.py [--rows 400] [--seeds 3]

Each competition is drawn: images whose brightness knows something of the label, and columns that know as much, that
decide only together with the image, or that know nothing. "Oracle" is the AUC of the exact probabilities. Gains over
the network without columns are means over seeds, with the standard error of the mean. A few minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from kit.data.predictions import Predictions
from kit.stages.training.train import train

SIDE = 16
PLUGINS = ("concat", "mlp", "film", "gated")
CASES = {
    "columns know as much as the image": "as_much",
    "a column says what the image means": "together",
    "columns know nothing": "nothing",
}
CONFIG = {
    "splitter": {"name": "stratified_kfold", "folds": 2},
    "augmenter": "resize",
    "backbone": {"name": "small", "width": 8, "stages": 2},
    "optimizer": {"name": "adamw", "lr": 0.005},
    "image_size": SIDE,
    "cache_size": SIDE,
    "epochs": 6,
    "ema_decay": 0,
    "batch_size": 32,
    "metric": "auc",
    "format": {"name": "binary_probability"},
    "workers": 0,
}


def draw(root: Path, rows: int, seed: int, case: str) -> float:
    """Writes the tables and images of a competition; returns the AUC of the exact probabilities."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, rows)
    sign, site = 2 * truth - 1, rng.integers(0, 4, rows)
    # two classes whose brightness has the means -0.7 and 0.7: the exact logit is 1.4 times the brightness
    turned = np.where(site % 2 == 1, -1, 1) if case == "together" else np.ones(rows)
    light = 0.7 * sign * turned + rng.normal(size=rows)
    age = (0.7 * sign if case == "as_much" else 0) + rng.normal(size=rows)
    exact = 1.4 * light * turned + (1.4 * age if case == "as_much" else 0)
    ids = [f"i{row:05d}" for row in range(rows)]
    (root / "data" / "images").mkdir(parents=True)
    for name, value in zip(ids, light, strict=True):
        noise = rng.normal(128 + 20 * value, 15, (SIDE, SIDE, 3))
        cv2.imwrite(str(root / "data" / "images" / f"{name}.png"), np.clip(noise, 0, 255).astype(np.uint8))
    places = np.array(["arm", "leg", "head", "back"])[site]
    frame = pd.DataFrame({"id": ids, "age": np.round(age, 4), "site": places})
    frame.assign(label=np.where(truth == 1, "yes", "no")).to_csv(root / "data" / "train.csv", index=False)
    data = {"sample": None, "columns": ["age", "site"]}
    (root / "config.json").write_text(json.dumps({**CONFIG, "data": data}))
    return float(roc_auc_score(truth, exact))


def measure(rows: int, seed: int, case: str) -> dict[str, float]:
    """Out-of-fold AUCs: of the network without columns, and with each plugin."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        scores = {"oracle": draw(root, rows, seed, case)}
        for plugin in ("null", *PLUGINS):
            run = train(root, [f"columns={plugin}", f"seed={seed}"], name=f"r-{plugin}")
            held_out = Predictions.read(run.predictions("plain") / "oof.parquet")
            scores[plugin] = held_out.provenance.require_scores()["auc"]
    return scores


def main() -> None:
    """Prints a table row per case and plugin."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| planted | columns | images alone | with columns | oracle | gain |\n|---|---|---|---|---|---|")
    for name, case in CASES.items():
        scores = pd.DataFrame([measure(options.rows, seed, case) for seed in range(options.seeds)])
        for plugin in PLUGINS:
            gain = scores[plugin] - scores["null"]
            error = gain.std() / np.sqrt(len(gain))
            values = " | ".join(f"{scores[key].mean():.3f}" for key in ("null", plugin, "oracle"))
            print(f"| {name} | `{plugin}` | {values} | {gain.mean():+.3f} ± {error:.3f} |", flush=True)


if __name__ == "__main__":
    main()
