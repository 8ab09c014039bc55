"""Whole commands by the clock: `kit train` against timm's train.py and fastai, on the same split of the same photos.

    python benchmarks/peers.py grocery --env ../peers --train-py train.py come    # all three, as they come
    python benchmarks/peers.py grocery --env ../peers --train-py train.py best    # timm's train.py at its best
    python benchmarks/peers.py grocery --env ../peers --train-py train.py folds   # 5 folds x 2 networks x 1 epoch

`grocery` is a folder with train.csv (image_id, label) and images/train. `--env` is a folder for the peers'
environment, made by the first start. train.py is in no wheel or sdist of timm: take it from the release's tag in its
repository. Without --train-py, peer_scripts/timm_train.py stands in, a loop of timm's own parts with the same options.

From random weights at 128 px, batches of 32, AdamW at the same rate, label smoothing, the same rows held out. A
command's time is its start, decoding, training, validation after each epoch, and checkpoints; kit's cache is emptied
before it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SCRIPTS = Path(__file__).with_name("peer_scripts")
PACKAGES = ("torch==2.13.0", "torchvision==0.28.0", "timm==1.0.31", "fastai==2.8.12")
NETWORKS = ("resnet18", "mobilenetv3_large_100", "efficientnet_b0")

KIT = (
    "{python} -m kit train --name r --json splitter=column backbone.arch={arch} image_size=128 epochs={epochs} \
batch_size=32 loss=label_smoothing optimizer.lr=0.002"
)
TIMM = (
    "{python} {start} {train} {tree} --model {arch} --num-classes {classes} --img-size 128 --batch-size 32 \
--epochs {epochs} --opt adamw --lr 0.002 --weight-decay 0.05 --warmup-epochs 0 \
--smoothing 0.1 --device cpu --output {out} --experiment r \
--checkpoint-hist 1"
)
TIMM_BEST = TIMM + " --amp --amp-dtype bfloat16 --channels-last --workers {workers}"
FASTAI = "{python} {start} {train} {tree} --arch {arch} --epochs {epochs} --lr 0.002"


@dataclass(frozen=True)
class Side:
    """One contestant: its name, and what runs it and returns its accuracy."""

    name: str
    run: Callable[[], float]


@dataclass(frozen=True)
class Photos:
    """The rows of a competition: ids, labels, the fold that holds each out, and where the files are."""

    ids: list[str]
    labels: list[str]
    folds: list[int]  # -1 = never held out
    images: Path

    @classmethod
    def read(cls, root: Path, folds: int, rows: int | None = None) -> Photos:
        """A random stratified split; of one fold, a fifth of the rows is held out."""
        with (root / "train.csv").open(newline="") as file:
            table = list(csv.reader(file))[1:]
        table = [table[number] for number in np.random.default_rng(0).permutation(len(table))]
        ranks = ranks_of([row[1] for row in table])
        chosen = sorted(range(len(table)), key=lambda number: ranks[number])[:rows]  # of every class as many
        table, places = [table[number] for number in chosen], [ranks[number] % 5 for number in chosen]
        fold_of_row = places if folds > 1 else [0 if fold == 0 else -1 for fold in places]
        return cls(
            [row[0] for row in table], [row[1] for row in table], fold_of_row, root / "images" / "train"
        )

    def file(self, name: str) -> Path:
        """The photo of an id."""
        return next(self.images.glob(f"{name}.*"), self.images / name)

    def workspace(self, root: Path) -> Path:
        """A workspace of kit with these rows."""
        root.mkdir()
        lines = [
            f"{i},{label},{'' if fold < 0 else fold}"
            for i, label, fold in zip(self.ids, self.labels, self.folds, strict=True)
        ]
        (root / "train.csv").write_text("\n".join(["id,label,fold", *lines]) + "\n")
        data = {"train": "train.csv", "sample": None, "images": f"{self.images}/{{id}}"}
        (root / "config.json").write_text(json.dumps({"data": data}))
        return root

    def tree(self, root: Path, fold: int) -> Path:
        """A folder a split and class, of links, as the peers read them."""
        for name, label, fold_of_row in zip(self.ids, self.labels, self.folds, strict=True):
            folder = root / ("validation" if fold_of_row == fold else "train") / label
            folder.mkdir(parents=True, exist_ok=True)
            file = self.file(name)
            (folder / file.name).symlink_to(file)
        return root


def ranks_of(labels: Sequence[str]) -> list[int]:
    """How many rows of the same label stand before each."""
    seen: Counter[str] = Counter()
    ranks = []
    for label in labels:
        ranks.append(seen[label])
        seen[label] += 1
    return ranks


def environment(folder: Path) -> Path:
    """The peers' python, in an environment that is made where it is not there."""
    python = folder / "bin" / "python"
    if not python.is_file():
        print(f"making {folder}: {' '.join(PACKAGES)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def called(command: str, where: Path, **values: object) -> str:
    """Runs a command line and returns its stdout; its stderr is shown where it fails."""
    arguments = [word.format(start=SCRIPTS / "start.py", **values) for word in command.split()]
    environ = (
        {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])} if "kit" in arguments else os.environ
    )
    process = subprocess.run(arguments, cwd=where, capture_output=True, text=True, env=environ)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)}\n{process.stderr[-2000:]}")
    return process.stdout


class Contest:
    """One set of rows, and how each contestant trains on it."""

    def __init__(self, photos: Photos, options: argparse.Namespace, work_folder: Path) -> None:
        self.photos, self.options, self.work_folder = photos, options, work_folder
        self.python = environment(options.env)
        self.train = options.train_py or SCRIPTS / "timm_train.py"
        self.space = photos.workspace(work_folder / "kit")
        self.held = sorted(set(photos.folds) - {-1})
        self.trees = [photos.tree(work_folder / f"tree-{fold}", fold) for fold in self.held]

    def kit(self, arch: str, epochs: int) -> float:
        """kit train, all folds, from an empty cache."""
        for name in ("cache", "runs"):
            shutil.rmtree(self.space / name, ignore_errors=True)
        return self.kit_again(arch, epochs)

    def kit_again(self, arch: str, epochs: int) -> float:
        """kit train, all folds, with whatever is in the cache."""
        shutil.rmtree(self.space / "runs", ignore_errors=True)
        text = called(KIT, self.space, python=sys.executable, arch=arch, epochs=epochs)
        return float(json.loads(text)["scores"]["accuracy"])

    def timm(self, command: str, arch: str, epochs: int) -> float:
        """timm's train.py, once a fold; the mean of the folds' last accuracies."""
        scores = []
        for tree in self.trees:
            out = self.work_folder / "timm"
            shutil.rmtree(out, ignore_errors=True)
            called(
                command,
                self.work_folder,
                python=self.python,
                train=self.train.resolve(),
                tree=tree,
                arch=arch,
                out=out,
                classes=len(set(self.photos.labels)),
                epochs=epochs,
                workers=self.options.workers,
            )
            with (out / "r" / "summary.csv").open(newline="") as file:
                scores.append(float(list(csv.DictReader(file))[-1]["eval_top1"]) / 100)
        return statistics.mean(scores)

    def fastai(self, arch: str, epochs: int) -> float:
        """fastai, as its documentation has it."""
        train = SCRIPTS / "fastai_train.py"
        text = called(
            FASTAI,
            self.work_folder,
            python=self.python,
            train=train,
            tree=self.trees[0],
            arch=arch,
            epochs=epochs,
        )
        return float(text.split()[-1])


def contend(sides: Sequence[Side], turns: int, images: int) -> None:
    """Runs all sides in turns, and prints each one's medians and how kit, the first one, compares.

    Beside the clock stands the processors' time, all processes added up, which other work hardly touches.
    """
    runs: dict[str, list[tuple[float, float, float]]] = {side.name: [] for side in sides}
    for turn in range(turns):
        for side in (*sides[turn % len(sides) :], *sides[: turn % len(sides)]):
            start, cpu = time.perf_counter(), spent()
            score = side.run()
            runs[side.name].append((time.perf_counter() - start, spent() - cpu, score))
            print(f"  turn {turn}: {side.name} {shown(runs[side.name][-1])}", flush=True)
    first = [statistics.median(column) for column in zip(*runs[sides[0].name], strict=True)]
    for side in sides:
        mine = [statistics.median(column) for column in zip(*runs[side.name], strict=True)]
        print(
            f"{side.name}: median {shown(mine)}, {images / mine[0]:.1f} images/s by the clock; kit is "
            f"{mine[0] / first[0]:.2f} times as fast, {mine[1] / first[1]:.2f} in processor time",
            flush=True,
        )


def spent() -> float:
    """Processor seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def shown(measured: Sequence[float]) -> str:
    """Seconds by the clock and of processors, and the accuracy, in words."""
    return f"{measured[0]:.1f} s, {measured[1]:.1f} s of processors, accuracy {measured[2]:.3f}"


def come(options: argparse.Namespace, work_folder: Path) -> None:
    """kit, timm's train.py and fastai as they come, a network at a time."""
    contest = Contest(Photos.read(options.data, 1, options.subset), options, work_folder)
    images = options.epochs * contest.photos.folds.count(-1)
    for arch in options.arch or NETWORKS:
        print(f"{arch}, {options.epochs} epochs of {contest.photos.folds.count(-1)} images, as they come")
        sides = [
            Side("kit", lambda arch=arch: contest.kit(arch, options.epochs)),  # type: ignore[misc]
            Side("timm train.py", lambda arch=arch: contest.timm(TIMM, arch, options.epochs)),  # type: ignore[misc]
            Side("fastai", lambda arch=arch: contest.fastai(arch, options.epochs)),  # type: ignore[misc]
        ]
        contend(sides, options.turns, images)


def best(options: argparse.Namespace, work_folder: Path) -> None:
    """kit against timm's train.py at its best settings."""
    contest = Contest(Photos.read(options.data, 1, options.subset), options, work_folder)
    for arch in options.arch or NETWORKS[:1]:
        print(
            f"{arch}, {options.epochs} epochs, timm's train.py in bf16 channels-last with {options.workers} workers"
        )
        sides = [
            Side("kit", lambda arch=arch: contest.kit(arch, options.epochs)),  # type: ignore[misc]
            Side("timm train.py", lambda arch=arch: contest.timm(TIMM_BEST, arch, options.epochs)),  # type: ignore[misc]
        ]
        contend(sides, options.turns, options.epochs * contest.photos.folds.count(-1))


def folds(options: argparse.Namespace, work_folder: Path) -> None:
    """5 folds x 2 networks x 1 epoch: one command of kit a network, one of train.py a fold and network."""
    contest = Contest(Photos.read(options.data, 5, options.subset or 1000), options, work_folder)
    one, other = (options.arch or NETWORKS)[:2]
    rows = len(contest.photos.ids)
    print(f"{one} and {other}, 5 folds of {rows} images, 1 epoch")

    def ours() -> float:
        return (contest.kit(one, 1) + contest.kit_again(other, 1)) / 2

    def theirs() -> float:
        return (contest.timm(TIMM_BEST, one, 1) + contest.timm(TIMM_BEST, other, 1)) / 2

    contend([Side("kit", ours), Side("timm train.py", theirs)], options.turns, 2 * 4 * rows)


def main() -> None:
    """Parses, and runs one contest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=lambda text: Path(text).resolve())
    parser.add_argument("contest", choices=("come", "best", "folds"))
    parser.add_argument("--env", type=lambda text: Path(text).absolute(), required=True)
    parser.add_argument("--train-py", type=Path, help="timm's train.py; by default a loop of timm's parts")
    parser.add_argument("--arch", nargs="*", help="timm's names of networks")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="of timm's train.py at its best")
    parser.add_argument("--subset", type=int, help="so many rows instead of all (folds: of 1000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work_folder:
        {"come": come, "best": best, "folds": folds}[options.contest](options, Path(work_folder))


if __name__ == "__main__":
    main()
