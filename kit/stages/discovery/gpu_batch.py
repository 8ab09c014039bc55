"""Proposes the batch size of kit init on a CUDA GPU, which batches of 32 leave idle, and the rate for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

# GiB of a GPU's memory from which a batch of this many rows is proposed: a T4 has 15, an RTX 3090 24, an A100
# 40 or 80
GPU_BATCHES = ((20, 128), (0, 64))
# without one of these devices no torch on Linux has a GPU: NVIDIA, WSL, Jetson, AMD
GPU_DEVICES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/nvmap", "/dev/nvhost-ctrl", "/dev/kfd")
FOLD_SHARE = 0.8  # of the labelled rows that a fold trains on


def propose_batch(optimizer: dict[str, Any], rows: int | None) -> tuple[dict[str, Any], list[str]]:
    """Returns the keys `batch_size` and `optimizer` for this machine's GPU, and the line with the reason.

    They are empty without a CUDA GPU, or if an epoch would have fewer than 16 steps. AdamW's rate grows with
    the square root of the batch, as with `batch_size=auto`.
    """
    if not rows or not _may_have_gpu():
        return {}, []
    import torch

    if not torch.cuda.is_available():
        return {}, []
    from kit.experiment.batch_size import LR_REFERENCE_BATCH, MIN_STEPS_PER_EPOCH, scale_lr
    from kit.kinds import Optimizer

    card = torch.cuda.get_device_properties(0)
    wanted = next(count for least, count in GPU_BATCHES if card.total_memory >= least * 2**30)
    largest = FOLD_SHARE * rows / MIN_STEPS_PER_EPOCH
    size = next((count for _, count in GPU_BATCHES if count <= min(wanted, largest)), LR_REFERENCE_BATCH)
    if size == LR_REFERENCE_BATCH:
        return {}, []
    before = Optimizer.open(optimizer)
    rate = float(f"{getattr(scale_lr(before, size), 'lr'):.2g}")  # noqa: B009 not every optimizer has one
    line = f"batch size: {size} ({LR_REFERENCE_BATCH} images leave a {card.name} idle), rate {rate:g} for it"
    return {"batch_size": size, "optimizer": {**optimizer, "lr": rate}}, [line]


def _may_have_gpu() -> bool:
    """Whether to import torch, which takes seconds, to check for a GPU."""
    return "torch" in sys.modules or sys.platform != "linux" or any(map(Path.exists, map(Path, GPU_DEVICES)))
