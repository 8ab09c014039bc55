"""Ranks share every batch: whatever the sampler, two of them see what one would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.device.ranks import Ranks
from kit.engine.batches import TrainBatches
from kit.errors import RunError
from kit.experiment.rank_shares import describe_idle_gpus
from kit.experiment.run_context import RunContext, prepare_run
from kit.kinds import Augmenter, Optimizer, Sampler
from kit.kinds.registry import locations
from kit.runs.run import find_run


@pytest.fixture(scope="module")
def setting(trained_once: Path) -> RunContext:
    space = Workspace.open(trained_once)
    return finish(prepare_run(space, find_run(space, "unbegun")))


def batches(setting: RunContext, sampler: str, rank: int, ranks: int) -> TrainBatches:
    labels = setting.loaded.table.targets()
    rows = np.flatnonzero((labels > 0) | (np.arange(len(labels)) % 2 == 0))  # classes of unlike size
    return TrainBatches(
        setting.loaded.cache,
        labels,
        rows,
        Sampler.open(sampler),
        Augmenter.open("light"),
        16,
        7,
        seed=4,
        workers=0,
        rank=rank,
        ranks=ranks,
    )


@pytest.mark.parametrize("sampler", locations("sampler"))
def test_two_ranks_see_the_batches_of_one(setting: RunContext, sampler: str) -> None:
    whole, parts = batches(setting, sampler, 0, 1), [batches(setting, sampler, rank, 2) for rank in (0, 1)]
    assert whole.steps == parts[0].steps == parts[1].steps
    shown = 0
    for one, first, second in zip(whole.epoch(3), *(part.epoch(3) for part in parts), strict=True):
        assert one.rows.tolist() == first.rows.tolist() + second.rows.tolist()
        assert one.labels.tolist() == first.labels.tolist() + second.labels.tolist()
        pixels = np.concatenate([first.images.numpy(), second.images.numpy()])
        assert np.array_equal(one.images.numpy(), pixels)
        shown += len(first)
    assert shown > 0


def test_a_rank_that_begins_within_an_epoch_continues_as_if_it_had_not_stopped(setting: RunContext) -> None:
    all_of_it = list(batches(setting, "shuffled", 1, 2).epoch(0))
    rest = list(batches(setting, "shuffled", 1, 2).epoch(0, first_step=3))
    assert [batch.rows.tolist() for batch in rest] == [batch.rows.tolist() for batch in all_of_it[3:]]


@pytest.mark.parametrize(
    "text",
    [
        "NCCL error: unhandled cuda error, Cuda failure 2 'out of memory'",
        "ncclUnhandledCudaError: Call to CUDA function failed. Last error: Failed to CUDA calloc async 608 bytes",
    ],
)
def test_memory_that_nccl_does_not_get_is_no_lost_rank(text: str) -> None:
    with pytest.raises(RunError, match="R02 out of memory while ranks exchange"), Ranks().communicate():
        raise RuntimeError(text)


@pytest.mark.parametrize(
    ("device", "count", "batch", "said"),
    [
        ("cuda", 4, 32, "4 GPUs share a batch of 32, 8 rows per GPU: so few rows leave a GPU idle; "
                        "use batch_size=128 optimizer.lr=0.002 under another --name"),
        ("cuda", 4, 128, ""),
        ("cuda", 1, 8, ""),
        ("cpu", 4, 32, ""),
    ],
)  # fmt: skip
def test_few_rows_for_each_gpu_are_noted(device: str, count: int, batch: int, said: str) -> None:
    optimizer = Optimizer.open({"name": "adamw", "lr": 1e-3})
    assert describe_idle_gpus(optimizer, batch, Ranks(0, count), torch.device(device)) == said
