"""Which folds foretell the leaderboard: the same briefly trained configs on random folds, and with scenes kept whole.

    python -m benchmarks.honest COMPETITION [--score leaderboard/score.py] [--steps 300] [--only plain,cutmix]
        [--folds "scenes whole"]

COMPETITION is a folder that `kit init` understands, with a script that scores a submission and prints `macro F1 0.12`.
Each config of benchmarks/techniques.py is trained by both kinds of folds, predicts the test rows by the mean of its
folds' networks, and is scored out of fold and on the leaderboard: each submission that is made is a row of the table.
Then how far cross-validation is above the leaderboard, and how far it ranks the configs as the leaderboard does.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau, spearmanr

import kit
from benchmarks.techniques import TECHNIQUES, prepared, trained
from kit.core.files import read_json, write_json
from kit.stages.blending.blend import Submitted, blend
from kit.stages.prediction.tta import tta

SPLITS: dict[str, dict[str, str | None]] = {"scenes whole": {"group": "scene"}, "random": {"group": None}}


def main() -> None:
    """Trains each config by each kind of folds, and prints a table row as each ends."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("competition", type=Path)
    parser.add_argument("--score", type=Path, default=Path("leaderboard/score.py"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--arch", default="resnet10t")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--group-column", default="shape_group")
    parser.add_argument("--only", default="")
    parser.add_argument("--folds", choices=list(SPLITS), action="append")
    options = parser.parse_args()
    options.group = None
    wanted = [name for name in TECHNIQUES if not options.only or name in options.only.split(",")]
    print(f"{options.arch}, {options.size} px, 2 folds, {options.steps} steps of 32 rows a fold")
    print(
        "| folds | config | out of fold macro F1 | leaderboard | above it | time |\n|---|---|---|---|---|---|"
    )
    for split in options.folds or SPLITS:
        data = SPLITS[split]
        with tempfile.TemporaryDirectory() as folder:
            root = prepared(Path(folder), options)
            config = read_json(root / "config.json")
            splitter = "stratified_group_kfold" if data["group"] else "stratified_kfold"
            config["data"] |= data
            write_json(root / "config.json", {**config, "splitter": {"name": splitter, "folds": 2}})
            pairs = np.array([row(root, split, name, options) for name in wanted])
        print(summary(split, pairs), flush=True)


def row(root: Path, split: str, name: str, options: argparse.Namespace) -> tuple[float, float]:
    """Trains, predicts and submits one config; prints its line, and returns both scores."""
    start = time.monotonic()
    run, _ = trained(root, name, options.steps)
    workspace = kit.Workspace.open(root)
    tta(workspace, [run.folder], "plain")
    submitted = blend(workspace, [run.name])
    assert isinstance(submitted, Submitted), "a competition with a sample"
    score = options.score if options.score.is_absolute() else options.competition / options.score
    text = subprocess.run(
        [sys.executable, str(score), str(submitted.path)], capture_output=True, text=True, check=True
    ).stdout
    match = re.search(r"macro F1 ([0-9.]+)", text)
    assert match, text
    cv, board = submitted.cv, float(match[1])
    spent = (time.monotonic() - start) / 60
    print(f"| {split} | {name} | {cv:.3f} | {board:.3f} | {cv - board:+.3f} | {spent:.1f} min |", flush=True)
    return cv, board


def summary(split: str, pairs: np.ndarray) -> str:
    """How far cross-validation is above the leaderboard, and how alike both rank."""
    cv, board = pairs.T
    text = f"{split}: out of fold is {np.median(cv - board):+.3f} above the leaderboard (median of {len(cv)} configs)"
    if len(cv) > 2:
        spearman, kendall = spearmanr(cv, board).statistic, kendalltau(cv, board).statistic
        text += f"; rank correlation {spearman:.2f} (Spearman), {kendall:.2f} (Kendall)"
    return text


if __name__ == "__main__":
    main()
