"""Time budget: the epochs and the image size that a network can train in a given time on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.config.workspace import Workspace
from kit.core.durations import write_duration
from kit.data.table import Table, train_table
from kit.kinds import Backbone
from kit.stages.profiling.speed import measure_throughput

FEWEST_EPOCHS = 6  # at a size; with fewer, a smaller image and more epochs score higher (docs/defaults.md)
MOST_EPOCHS = 20  # maximum epochs, beyond which pretrained weights gain little
STEP_PX = 32  # step between sizes: the stride of most networks
SMALLEST_PX = 96
OVERHEAD = 1.08  # loading, averaging and checkpoints, as a factor on the steps (benchmarks/README.md)


@dataclass(frozen=True)
class Budget:
    """The epochs at an image size that fit into the time, and the expected seconds of one network."""

    epochs: int
    image_size: int
    seconds: float
    images_per_second: float

    def __str__(self) -> str:
        return (
            f"{self.epochs} epochs at {self.image_size} px, about {write_duration(self.seconds)} per network "
            f"({self.images_per_second:.0f} images/s measured here)"
        )


@dataclass(frozen=True)
class TrainingPace:
    """Images per second of training and predicting at a size, and the rows of a fold: held out, and in all."""

    image_size: int
    train: float
    predict: float
    held_out: float
    rows: int

    def epoch_seconds(self, image_size: int) -> float:
        """Returns the seconds of an epoch on the training rows and a validation, at a size."""
        once = (self.rows - self.held_out) / self.train + self.held_out / self.predict
        return OVERHEAD * once * (image_size / self.image_size) ** 2


def fit_time(root: Path, config: dict[str, Any], seconds: int) -> Budget:
    """Returns the largest size, up to the config's own, at which FEWEST_EPOCHS fit into the seconds, and the
    epochs that fit.

    The time is that of one fold. Only the config's size and the chosen one are measured: a step's time grows with the
    pixels.
    """
    space = Workspace(root, config)
    table = train_table(root, space.competition.data)
    size = space.experiment.image_size
    pace = measure_pace(space, table)
    sizes = [size] if _takes_one_size(space) else [*range(size, min(SMALLEST_PX, size) - 1, -STEP_PX)]
    fitting = [side for side in sizes if seconds / pace.epoch_seconds(side) >= FEWEST_EPOCHS]
    chosen = fitting[0] if fitting else sizes[-1]
    if chosen != size:
        pace = measure_pace(Workspace(root, {**config, "image_size": chosen}), table)
    epochs = max(1, min(MOST_EPOCHS, int(seconds / pace.epoch_seconds(chosen))))
    return Budget(epochs, chosen, epochs * pace.epoch_seconds(chosen), pace.train)


def measure_pace(space: Workspace, table: Table) -> TrainingPace:
    """Returns the images per second of a config's run on this machine, and the rows of one of its folds."""
    experiment = space.experiment
    folds = max(int(experiment.splitter.get("folds", 5)), 2)
    rate = measure_throughput(space, table)
    return TrainingPace(experiment.image_size, rate.train, rate.predict, len(table) / folds, len(table))


def _takes_one_size(space: Workspace) -> bool:
    """Whether the network takes images of only one size, as many transformers do."""
    backbone = space.experiment.open(Backbone, space.root)
    return backbone.input_size() is not None
