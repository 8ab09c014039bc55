"""Each rank's share of a batch: checks that it can train on it, and notes if it does not keep a GPU busy."""

from __future__ import annotations

import torch

from kit.device.ranks import Ranks
from kit.errors import ConfigError
from kit.experiment.batch_size import LR_REFERENCE_BATCH, scale_lr
from kit.experiment.techniques import OpenPlugins
from kit.kinds import Optimizer


def check_ranks(techniques: OpenPlugins, ranks: Ranks) -> None:
    """Raises ConfigError C35 if ranks cannot share a step: its loss compares rows, or the rows are too few."""
    for stage in techniques.stages if ranks.count > 1 else ():
        if not stage.loss.is_splittable():
            name = stage.loss.plugin_name()
            raise ConfigError(
                f"loss {name!r} compares the rows of a batch, but each of {ranks.count} ranks sees only its "
                "own part",
                code="C35",
                hint="use one process per fold: --executor processes uses all GPUs",
            )
        rows = stage.experiment.batch_rows()
        if rows < 2 * ranks.count:
            raise ConfigError(
                f"a batch of {rows} has fewer than two rows for each of {ranks.count} ranks",
                code="C35",
                hint="use a larger batch_size",
            )


def describe_idle_gpus(optimizer: Optimizer, rows: int, ranks: Ranks, device: torch.device) -> str:
    """Returns a note if a GPU gets too few rows of a batch to be busy, with the settings to change; else an
    empty text.
    """
    count = ranks.count
    if count == 1 or device.type == "cpu" or rows >= LR_REFERENCE_BATCH * count:
        return ""
    enough = LR_REFERENCE_BATCH * count
    keys = f"batch_size={enough}"
    if isinstance(getattr(optimizer, "lr", None), float):
        keys += f" optimizer.lr={getattr(scale_lr(optimizer, enough, rows), 'lr'):.2g}"  # noqa: B009
    return (
        f"{count} GPUs share a batch of {rows}, {rows // count} rows per GPU: so few rows leave a GPU idle; "
        f"use {keys} under another --name"
    )
