"""Images a second of `kit train` against a bare loop of the same network on one synthetic batch.

    python benchmarks/train_throughput.py [--arch resnet18] [--size 128] [--batch 32] [--precision auto] [--rounds 5]

Both sides use the same precision, layout, optimizer and loss, in the same process, in turns of one step, so that a
machine whose speed drifts slows both. kit's side reads the cache, augments, keeps the average of weights and yields
its steps; the bare side does forward, backward and optimizer step on one batch that never changes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.device import memory
from kit.device.ranks import ALONE, Ranks
from kit.engine import fit
from kit.engine.learner import Learner
from kit.engine.step import StepPlan
from kit.experiment.fold_training import new_learner, train_stages
from kit.experiment.run_context import RunContext, prepare_run
from kit.runs.run import find_run


def draw(root: Path, images: int) -> None:
    """A workspace of JPEGs of 256 x 192 with some structure, in 8 classes."""
    rng = np.random.default_rng(0)
    (root / "data" / "images").mkdir(parents=True)
    lines = ["id,label"]
    for number in range(images):
        coarse = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
        picture = cv2.resize(coarse, (256, 192), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(root / "data" / "images" / f"{number:05d}.jpg"), picture)
        lines.append(f"{number:05d},c{number % 8}")
    (root / "data" / "train.csv").write_text("\n".join(lines) + "\n")
    (root / "config.json").write_text(json.dumps({"data": {"sample": None}}))


def setting_of(root: Path, options: argparse.Namespace, ranks: Ranks = ALONE) -> RunContext:
    """What `kit train` would prepare: the default recipe, one fold of all but a few rows."""
    overrides = [
        f"backbone.arch={options.arch}",
        f"image_size={options.size}",
        f"batch_size={options.batch}",
        "splitter=holdout",
        "splitter.holdout_fraction=0.05",
        "loss=label_smoothing",
        f"precision={options.precision}",
    ]
    workspace = Workspace.open(root, overrides)
    return finish(prepare_run(workspace, find_run(workspace), ranks=ranks))


def bare_steps(setting: RunContext, learner: Learner) -> Iterator[None]:
    """Steps of the same network on one batch that is there already, one a turn."""
    precision = setting.precision
    size, count = setting.experiment.image_size, setting.experiment.batch_rows()
    images = precision.to_layout(
        torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8), setting.device
    )
    labels = torch.randint(0, 8, (count,), device=setting.device)
    while True:
        learner.optimizer.zero_grad(set_to_none=True)
        with precision.autocast_training(setting.device):
            outputs = learner.network(images)
        setting.techniques.parts.loss.rows(outputs.float(), labels).mean().backward()
        learner.optimizer.step()
        yield


def kit_steps(setting: RunContext, learner: Learner, epochs: int) -> Iterator[int]:
    """Steps as kit trains, one a turn: loading, augmenting and averaging included; yields the rows of each."""
    stages = [replace(stage, epochs=epochs) for stage in train_stages(setting, 0)]
    for event in fit.fit(learner, stages, StepPlan(0, 0), setting.precision):
        if isinstance(event, fit.StepEvent):
            yield event.rows


def rates(setting: RunContext, steps: int) -> tuple[float, float]:
    """Images a second of the bare loop and of kit, over as many steps of each, in turns of one step."""
    ours, bare = new_learner(setting, 0), new_learner(setting, 0)
    theirs, mine = bare_steps(setting, bare), kit_steps(setting, ours, 1_000)
    spent, rows = turns(theirs, mine, 5, steps)
    return steps * setting.experiment.batch_rows() / spent[0], rows / spent[1]


def turns(
    theirs: Iterator[None], mine: Iterator[int], first: int, steps: int, begin: Callable[[], object] = int
) -> tuple[tuple[float, float], int]:
    """Seconds of each side over steps in turns, and the rows of mine; the `first` ones allocate, and do not count.

    `begin` is called before each side's turn and after the last one's.
    """
    for _ in range(first):
        next(theirs), next(mine)
    spent, rows = [0.0, 0.0], 0
    for _ in range(steps):
        begin()
        start = time.perf_counter()
        next(theirs)
        begin()
        middle = time.perf_counter()
        rows += next(mine)
        begin()
        spent[0] += middle - start
        spent[1] += time.perf_counter() - middle
    return (spent[0], spent[1]), rows


def arguments(text: str | None) -> argparse.ArgumentParser:
    """The options of benchmarks that train on drawn photos."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--precision", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--images", type=int, default=640)
    return parser


def main() -> None:
    """Prints a line a round and the ratio's median."""
    options = arguments(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), options.images)
        setting = setting_of(Path(folder), options)
        print(f"{options.arch}, {options.size} px, batch {options.batch}, {setting.precision}")
        ratios = []
        for number in range(options.rounds):
            with memory.retain_freed_memory(setting.device):  # for both sides, since they share a process
                bare, ours = rates(setting, options.steps)
            ratios.append(ours / bare)
            print(
                f"round {number}: bare {bare:.1f} images/s, kit {ours:.1f} images/s, ratio {ratios[-1]:.3f}"
            )
        print(f"median ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
