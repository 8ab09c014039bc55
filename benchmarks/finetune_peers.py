"""Fine-tuning by kit's peers: the same weights, rows and clock as a run of kit, scored on the leaderboard.

    python -m benchmarks.finetune_peers WORKSPACE RUN --weights FILE --network NAME --env ../peers
        [--peer fastai|timm|autogluon] [--epochs 9] [--size 224] [--score leaderboard/score.py]

WORKSPACE has a run of kit that trained fold 0 only. The peer trains on the same rows, with the same held-out rows for
validation. `--env` is the folder of its environment: torch, timm and fastai, or autogluon.multimodal. The time is
processor time of the whole command, with its prediction of the test images. `--epochs` are chosen so that it is
near the run's.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file

SCRIPTS = Path(__file__).with_name("peer_scripts")
TIMM = (
    "{tree} --model {network} --pretrained --pretrained-path {weights} --num-classes {classes} --img-size {size} "
    "--batch-size 32 --epochs {epochs} --opt adamw --lr 0.001 --weight-decay 0.05 --warmup-epochs 1 --smoothing 0.1 "
    "--device cpu --channels-last --workers 1 --checkpoint-hist 1 --output {work_folder} --predict {out}"
)


def main() -> None:
    """Trains a peer, writes its submission, and prints a row of the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workspace", type=Path)
    parser.add_argument("run")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--network", required=True)
    parser.add_argument("--env", type=Path, required=True)
    parser.add_argument("--peer", choices=("fastai", "timm", "autogluon"), required=True)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--score", type=Path, default=Path("leaderboard/score.py"))
    options = parser.parse_args()
    options.workspace, options.weights = options.workspace.resolve(), options.weights.resolve()
    with tempfile.TemporaryDirectory() as folder:
        work_folder = Path(folder)
        tree = tree_of(options.workspace, options.run, work_folder / "tree")
        out = work_folder / "out.csv"
        seconds = trained(options, tree, out, work_folder)
        predictions = pd.read_csv(out, index_col="image")
    print(
        f"| {options.peer} | {options.size} px | {options.epochs} | {seconds:.0f} s | {score(options, predictions)} |",
        flush=True,
    )


def tree_of(workspace: Path, run: str, tree: Path) -> Path:
    """Folders train/CLASS, validation/CLASS and test of links, with the rows of the run's fold 0."""
    folds = pd.read_csv(workspace / "runs" / run / "folds.csv", dtype={"id": str})
    labels = pd.read_csv(workspace / "train.csv", dtype=str).set_index("image_id")["label"]
    for name, fold in zip(folds.iloc[:, 0], folds["fold"], strict=True):
        folder = tree / ("validation" if fold == 0 else "train") / labels[name]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jpg").symlink_to((workspace / "images/train" / f"{name}.jpg").resolve())
    (tree / "test").mkdir()
    for image in (workspace / "images/test").iterdir():
        (tree / "test" / image.name).symlink_to(image.resolve())
    return tree


def trained(options: argparse.Namespace, tree: Path, out: Path, work_folder: Path) -> float:
    """Runs the peer's script; its seconds of processor time."""
    if options.peer == "timm":
        classes = len(list((tree / "train").iterdir()))
        arguments = TIMM.format(
            **vars(options), tree=tree, classes=classes, work_folder=work_folder, out=out
        ).split()
        script = SCRIPTS / "timm_train.py"
    elif options.peer == "fastai":
        arguments = [str(tree), str(out), "--arch", options.network, "--weights", str(options.weights)]
        arguments += ["--epochs", str(options.epochs), "--size", str(options.size)]
        script = SCRIPTS / "fastai_finetune.py"
    else:
        folder = network_folder(options, work_folder / "network")
        arguments = [str(tree), str(out), "--weights", str(folder), "--epochs", str(options.epochs)]
        script = SCRIPTS / "autogluon_finetune.py"
    python = options.env / "bin" / "python"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.run(
        [str(python), str(SCRIPTS / "start.py"), str(script), *arguments], cwd=work_folder
    )
    if process.returncode:
        raise SystemExit(f"{options.peer} ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def network_folder(options: argparse.Namespace, folder: Path) -> Path:
    """The weights as AutoGluon reads a local network: config.json and pytorch_model.bin, without the classifier."""
    folder.mkdir()
    state = {
        name: value
        for name, value in load_file(options.weights).items()
        if not name.startswith("classifier.")
    }
    torch.save(state, folder / "pytorch_model.bin")
    config = {
        "architecture": options.network,
        "num_features": 1280,
        "pretrained_cfg": {
            "input_size": [3, options.size, options.size],
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "interpolation": "bicubic",
            "crop_pct": 0.875,
            "num_classes": 0,
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def score(options: argparse.Namespace, predictions: pd.DataFrame) -> str:
    """What the leaderboard's script prints for the labels of highest probability."""
    labels = predictions.idxmax(axis=1)
    labels.index = pd.Index([Path(str(each)).stem for each in labels.index])
    sample = pd.read_csv(options.workspace / "sample_submission.csv", dtype=str)
    sample[sample.columns[1]] = labels[sample[sample.columns[0]]].to_numpy()
    file = options.workspace / f"{options.peer}.csv"
    sample.to_csv(file, index=False)
    script = options.workspace / options.score
    process = subprocess.run(
        [sys.executable, str(script), str(file)], capture_output=True, text=True, check=True
    )
    return re.sub(r"\s+", " ", process.stdout.strip())


if __name__ == "__main__":
    main()
