"""torch's switches of CUDA GPUs: which convolution kernels are tried, and what float32 may be rounded to."""

from __future__ import annotations

import torch


def search_convolutions(device: torch.device) -> None:
    """Lets cuDNN try its kernels for each new shape of a convolution and keep the fastest.

    A run has few shapes: two sizes of a training batch, and those of held-out rows.
    """
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True


def allow_tf32(device: torch.device, allowed: bool) -> None:
    """Lets a GPU round the factors of float32 products to TF32, 10 bits of mantissa, or forbids it.

    The parts of a network that compute in float32 beside bfloat16 or float16 take numbers that had fewer bits.
    """
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
