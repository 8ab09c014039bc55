"""kit init proposes larger batches on a GPU, with the rate for them, if an epoch keeps enough steps."""

from __future__ import annotations

import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from kit.stages.discovery import gpu_batch, recipes
from kit.stages.discovery.gpu_batch import propose_batch

ADAMW = {"name": "adamw", "lr": 1e-3}
Card = namedtuple("Card", "name total_memory")


@pytest.mark.parametrize(
    ("gib", "rows", "batch", "rate"),
    [
        (14.6, 10_000, 64, 1.4e-3),  # a T4: 0.001 times the square root of 2
        (23.6, 10_000, 128, 2e-3),  # an RTX 3090: times the square root of 4
        (79.0, 2_000, 64, 1.4e-3),  # 1,600 rows of a fold are 12 batches of 128
        (79.0, 1_000, None, None),  # and 800 rows 12 of 64
    ],
)
def test_the_batch_is_by_memory_and_rows(
    monkeypatch: pytest.MonkeyPatch, gib: float, rows: int, batch: int | None, rate: float | None
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: Card("Card", int(gib * 2**30)))
    keys, lines = propose_batch(ADAMW, rows)
    if batch is None:
        assert (keys, lines) == ({}, [])
        return
    assert keys == {"batch_size": batch, "optimizer": {"name": "adamw", "lr": rate}}
    assert lines == [f"batch size: {batch} (32 images leave a Card idle), rate {rate:g} for it"]
    config, reasons = recipes.config("scratch", {}, rows=rows)
    assert config["batch_size"] == batch
    assert config["optimizer"]["weight_decay"] == 0.05
    assert any(line.startswith("batch size:") for line in reasons)


def test_without_a_gpu_nothing_is_proposed() -> None:
    assert propose_batch(ADAMW, 100_000) == ({}, [])
    assert "batch_size" not in recipes.config("scratch", {}, rows=100_000)[0]


def test_torch_is_not_imported_on_linux_without_a_device_of_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(gpu_batch, "GPU_DEVICES", (str(tmp_path / "nvidia0"),))
    assert propose_batch(ADAMW, 100_000) == ({}, [])
    assert "torch" not in sys.modules
    (tmp_path / "nvidia0").touch()
    monkeypatch.setitem(
        sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False))
    )
    assert propose_batch(ADAMW, 100_000) == ({}, [])
