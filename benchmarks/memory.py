"""The peak that `kit memory` foretells for a batch, from steps of a quarter of it, against the peak of a real step.

    python benchmarks/memory.py [--archs resnet18,efficientnet_b0,...] [--size 128] [--batch 64] [KEY=VALUE ...]
    python benchmarks/memory.py --gradient-checkpointing [--archs ...] [--size 224] [--batch 32] [KEY=VALUE ...]

Both are `kit memory` in processes of their own: the first measures a real step of a quarter of the batch and foretells
the whole, the second measures a real step of the whole: on a GPU by its allocator, on a CPU by the process's high-water
mark. No image is read. With --gradient-checkpointing both peaks are those of whole steps with and without it, and
steps of both alternate in one process for their times.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.data.table import train_table
from kit.device.precision import Precision
from kit.engine.batches import random_batch
from kit.engine.step import StepPlan, optimizer_step
from kit.evaluation.competition import metric_of
from kit.experiment.techniques import build_learner, open_techniques
from kit.model.network import classes_from_table

ARCHS = "resnet18,resnet50,efficientnet_b0,mobilenetv3_large_100,regnetx_004,resnet10t,vit_tiny_patch16_224"


def draw(root: Path) -> None:
    """A workspace of sixteen rows, whose images nobody reads."""
    (root / "data" / "images").mkdir(parents=True)
    names = [f"{number:02d}" for number in range(16)]
    for name in names:
        (root / "data" / "images" / f"{name}.jpg").touch()
    lines = ["id,label", *(f"{name},c{int(name) % 8}" for name in names)]
    (root / "data" / "train.csv").write_text("\n".join(lines) + "\n")
    (root / "config.json").write_text(json.dumps({"data": {"sample": None}}))


def measure_memory(folder: Path, sizes: str, overrides: list[str]) -> dict[str, Any]:
    """What `kit memory` says of these sizes, the last of which it measures."""
    command = [sys.executable, "-m", "kit", "memory", "--batch-size", sizes, "--json", *overrides]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, env=os.environ)
    return dict(json.loads(done.stdout))


def time_steps(folder: Path, batch: int, overrides: list[str], rounds: int = 5) -> tuple[float, float]:
    """Median seconds of a step without and with gradient checkpointing."""
    plain, other = (
        Workspace.open(folder, [*overrides, f"gradient_checkpointing={on}"]) for on in ("false", "true")
    )
    table, device = train_table(folder, plain.competition.data), torch.device("cpu")
    images = random_batch(table, batch, plain.experiment.image_size)
    learners, seconds = [], ([], [])  # type: ignore[var-annotated]
    for space in (plain, other):
        techniques = open_techniques(space, classes_from_table(table), metric_of(space, table))
        precision = Precision("float32", "float32", "channels_last")
        learners.append(build_learner(techniques, space.experiment, 8, precision, device))
    for _ in range(rounds):
        for learner, spent in zip(learners, seconds, strict=True):
            start = time.perf_counter()
            finish(optimizer_step(learner, techniques.parts.loss, images, StepPlan(0, 0), precision, 0.0))
            spent.append(time.perf_counter() - start)
    return median(seconds[0][1:]), median(seconds[1][1:])


def compare_checkpointing(folder: Path, arch: str, options: argparse.Namespace, config: list[str]) -> None:
    """A line: the measured peak of a step without and with gradient checkpointing, and the ratio of seconds."""
    plain, other = (
        measure_memory(
            folder, str(options.batch), [*config, "precision=float32", f"gradient_checkpointing={on}"]
        )
        for on in ("false", "true")
    )
    peaks = plain["measured"]["peak"], other["measured"]["peak"]
    seconds = time_steps(folder, options.batch, config)
    peaks_text = " | ".join(f"{peak / 2**20:.0f} MiB" for peak in peaks)
    print(
        f"| {arch} | {peaks_text} | {peaks[1] / peaks[0]:.2f} | {seconds[1] / seconds[0]:.2f} |", flush=True
    )


def main() -> None:
    """Prints a line a network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archs", default=ARCHS)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_args()
    if options.gradient_checkpointing:
        print("| network | without | with | memory | time |\n|---|---|---|---|---|")
    else:
        print("| network | foretold | measured | foretold / measured |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder))
        for arch in options.archs.split(","):
            config = [f"backbone.arch={arch}", f"image_size={options.size}", *options.overrides]
            config += [f"backbone.img_size={options.size}"] * ("vit" in arch)
            if options.gradient_checkpointing:
                compare_checkpointing(Path(folder), arch, options, config)
                continue
            foretold = measure_memory(Path(folder), f"{options.batch},{options.batch // 4}", config)["sizes"][
                -1
            ]["peak"]
            measured = measure_memory(Path(folder), str(options.batch), config)["measured"]["peak"]
            name, ratio = arch, foretold / measured
            print(
                f"| {name} | {foretold / 2**20:.0f} MiB | {measured / 2**20:.0f} MiB | {ratio:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
