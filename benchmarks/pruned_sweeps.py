"""How many epochs does a pruned sweep train, and is its winner that of the whole sweep?

    python -m benchmarks.pruned_sweeps [--rows 240] [--seeds 3] [--batch 8] [--cases "far apart" close]

Each sweep tries eight learning rates on drawn images of four brightnesses. "far apart": one of the rates is right, and
the others are too low by a factor of 20 or more. "close": neighbours differ by a factor of 1.5. The regret is the
cross-entropy of the pruned sweep's winner less that of the whole sweep's winner. Epochs are counted in the logs of the
folds. A few minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from kit.stages.training.sweep import SweepResult, run_sweep

SIDE, CLASSES = 12, 4
RATES = {
    "far apart": (1e-6, 1e-4, 3e-5, 1e-5, 2e-2, 3e-6, 1e-3, 3e-4),
    "close": tuple(0.02 * 1.5**power for power in (-4, 2, -1, 0, -3, 3, 1, -2)),
}
WAYS: Mapping[str, Mapping[str, object]] = {
    "`--pruner halving`": {"pruner": "halving"},
    "`--pruner median`": {"pruner": "median"},
    "`--stop-folds`": {"stop_folds": True},
    "`--pruner halving --stop-folds`": {"pruner": "halving", "stop_folds": True},
}
CONFIG = {
    "splitter": {"name": "stratified_kfold", "folds": 3},
    "augmenter": "resize",
    "backbone": {"name": "small", "width": 8, "stages": 2},
    "image_size": SIDE,
    "cache_size": SIDE,
    "epochs": 8,
    "ema_decay": 0,
    "metric": "log_loss",
    "workers": 0,
    "precision": "float32",
}


def draw(root: Path, rows: int, seed: int, batch: int) -> None:
    """Writes a competition whose classes are brightnesses that overlap."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, CLASSES, rows)
    light = 60 + 40 * truth + rng.normal(scale=25, size=rows)
    images = root / "data" / "images"
    images.mkdir(parents=True)
    for row in range(rows):
        image = np.clip(light[row] + rng.normal(scale=40, size=(SIDE, SIDE, 3)), 0, 255)
        cv2.imwrite(str(images / f"i{row:04d}.png"), image.astype(np.uint8))
    lines = [f"i{row:04d},c{truth[row]}" for row in range(rows - 8)]
    (root / "data" / "train.csv").write_text("\n".join(["id,label", *lines]) + "\n")
    lines = [f"i{row:04d},c0" for row in range(rows - 8, rows)]
    (root / "data" / "sample_submission.csv").write_text("\n".join(["id,label", *lines]) + "\n")
    (root / "config.json").write_text(json.dumps({**CONFIG, "seed": seed, "batch_size": batch}))


def sweep(root: Path, name: str, case: str, options: Mapping[str, object]) -> SweepResult:
    """One sweep over the rates of a case."""
    axis = "optimizer.lr=" + ",".join(f"{rate:.3g}" for rate in RATES[case])
    return run_sweep(name, [axis], start=root, **options)  # type: ignore[arg-type]


def main() -> None:
    """Prints a row for each case and way of pruning."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--cases", nargs="+", choices=RATES, default=list(RATES))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| rates | option | epochs | of | same winner | regret, largest |")
    print("|---|---|---|---|---|---|")
    for case in options.cases:
        outcomes: dict[str, list[tuple[int, int, bool, float]]] = {way: [] for way in WAYS}
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as folder:
                root = Path(folder)
                draw(root, options.rows, seed, options.batch)
                whole = sweep(root, "whole", case, {})
                scores = {trial.overrides: float(trial.score or 0) for trial in whole.trials}
                for index, (way, pruning) in enumerate(WAYS.items()):
                    pruned = sweep(root, f"pruned{index}", case, pruning)
                    winner = pruned.trials[0].overrides
                    regret = scores[winner] - scores[whole.trials[0].overrides]
                    epochs, budget = pruned.epochs or 0, pruned.budget or 0
                    outcomes[way].append((epochs, budget, winner == whole.trials[0].overrides, regret))
        for way, rows in outcomes.items():
            mean = sum(row[0] for row in rows) / len(rows)
            same = sum(row[2] for row in rows)
            print(
                f"| {case} | {way} | {mean:.0f} | {rows[0][1]} | {same} of {len(rows)} | "
                f"{max(row[3] for row in rows):.4f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
