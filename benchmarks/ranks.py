"""Images a second of `kit train --devices 2` against a bare loop with torch's DistributedDataParallel.

    python -m benchmarks.ranks [--arch resnet18] [--size 128] [--batch 32] [--rounds 3] [--devices 2]

Both sides train in the same processes, in turns of one step, at the same precision, layout, optimizer and loss. kit's
side reads the cache, augments, averages weights, and agrees with the others on memory and signals; the bare side
forwards one batch that never changes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel

from benchmarks.train_throughput import arguments, draw, kit_steps, setting_of, turns
from kit.device.launch import launch
from kit.device.ranks import process_group
from kit.experiment.fold_training import new_learner
from kit.experiment.run_context import RunContext


def ddp_steps(setting: RunContext) -> Iterator[None]:
    """Steps of the same network under DDP, on this rank's part of a batch that is there already."""
    learner, precision = new_learner(setting, 0), setting.precision
    network = DistributedDataParallel(learner.network)
    size, count = setting.experiment.image_size, setting.experiment.batch_rows() // setting.ranks.count
    images = precision.to_layout(
        torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8), setting.device
    )
    labels = torch.randint(0, 8, (count,), device=setting.device)
    while True:
        learner.optimizer.zero_grad(set_to_none=True)
        with precision.autocast_training(setting.device):
            outputs = network(images)
        setting.techniques.parts.loss.rows(outputs.float(), labels).mean().backward()
        learner.optimizer.step()
        yield


def rates(setting: RunContext, steps: int) -> tuple[float, float]:
    """Images a second of DDP's loop and of kit's ranks, in turns of one step that all ranks begin together."""
    theirs, mine = ddp_steps(setting), kit_steps(setting, new_learner(setting, 0), 1_000)
    # a turn ends with what kit's fold agrees on after each step, whether to stop
    spent, rows = turns(theirs, mine, 3, steps, lambda: setting.ranks.all_reduce_max(0))
    return steps * setting.experiment.batch_rows() / spent[0], rows / spent[1]


def measure(options: argparse.Namespace) -> None:
    """What each rank runs; the first prints."""
    with process_group() as ranks:
        setting = setting_of(Path(options.at), options, ranks)
        ratios = []
        for number in range(options.rounds):
            ddp, ours = rates(setting, options.steps)
            ratios.append(ours / ddp)
            if ranks.is_zero:
                print(
                    f"round {number}: DDP {ddp:.1f} images/s, kit {ours:.1f} images/s, ratio {ratios[-1]:.3f}"
                )
        if ranks.is_zero:
            print(f"median ratio {statistics.median(ratios):.3f}, {ranks.count} ranks, {setting.precision}")


def main() -> None:
    """Starts the ranks by torch's launcher."""
    parser = arguments(__doc__)
    parser.set_defaults(rounds=3, steps=30)
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--at", help="the drawn workspace; set where the ranks are started")
    options = parser.parse_args()
    if options.at:
        measure(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), options.images)
        sys.exit(launch([*sys.argv[1:], "--at", folder], options.devices, "benchmarks.ranks"))


if __name__ == "__main__":
    main()
