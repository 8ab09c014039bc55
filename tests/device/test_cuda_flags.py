"""On a CUDA GPU cuDNN searches its kernels, and float32 is rounded to TF32 unless the user named float32."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from kit.device.precision import Precision, search_convolutions

CUDA = torch.device("cuda")


@pytest.fixture(autouse=True)
def flags() -> Iterator[None]:
    """The switches as they were, after the test."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    yield
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_tf32_is_for_networks_whose_float32_is_not_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: torch.no_grad())
    chosen = Precision(name, name, "channels_last")
    for block in (chosen.autocast_training, chosen.autocast_prediction):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "float32"
        with block(CUDA):
            assert torch.backends.cuda.matmul.allow_tf32 is (name != "float32")
            assert torch.backends.cudnn.allow_tf32 is (name != "float32")


def test_a_cpu_changes_no_switch() -> None:
    before = torch.backends.cudnn.benchmark, torch.backends.cuda.matmul.allow_tf32
    search_convolutions(torch.device("cpu"))
    with Precision("bfloat16", "bfloat16", "contiguous").autocast_training(torch.device("cpu")):
        pass
    assert (torch.backends.cudnn.benchmark, torch.backends.cuda.matmul.allow_tf32) == before
    search_convolutions(CUDA)
    assert torch.backends.cudnn.benchmark
