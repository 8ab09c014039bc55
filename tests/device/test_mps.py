"""Apple's GPUs, pretended: what kit asks torch.mps for, and what it does not trust there."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from kit.device import memory, precision
from kit.device.precision import Precision, choose_device, resolve_auto
from kit.engine import step

MPS = torch.device("mps")


@pytest.fixture
def mps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """torch says that there is no CUDA but MPS, with 8 GiB of which 3 are kept and 1 is taken; notes its calls."""
    called: list[str] = []

    def answer(name: str, value: int | None) -> int | None:
        called.append(name)
        return value

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    for name, value in {
        "recommended_max_memory": 8 * 2**30,
        "driver_allocated_memory": 3 * 2**30,
        "current_allocated_memory": 2**30,
        "empty_cache": None,
        "synchronize": None,
    }.items():
        monkeypatch.setattr(torch.mps, name, partial(answer, name, value))
    return called


@pytest.mark.usefixtures("mps")
def test_auto_is_mps_where_there_is_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_check_computes", lambda device: None)
    assert choose_device("auto") == MPS
    network = nn.Sequential(nn.Conv2d(3, 8, 3))
    auto = Precision("auto", "auto", "auto")
    assert resolve_auto(network, MPS, auto) == Precision("float32", "float32", "channels_last")
    monkeypatch.setattr(precision, "available_cores", lambda: 8)
    assert precision.worker_count("auto", MPS) == 7


def test_its_memory_is_what_torch_says(mps: list[str]) -> None:
    assert memory.device_memory(MPS) == memory.DeviceMemory(2**30, 7 * 2**30)
    assert memory.peak_bytes(MPS) == 3 * 2**30
    assert memory.peak_during(MPS, lambda: None) is None
    mps.clear()
    memory.empty_cache(MPS)
    memory.wait_for(MPS)
    assert mps == ["empty_cache", "synchronize"]


@pytest.mark.parametrize(("device", "waits"), [("cuda", False), ("mps", True), ("cpu", True)])
def test_a_step_is_looked_at_before_fused_kernels_that_ignore_found_inf(device: str, waits: bool) -> None:
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], fused=True)
    assert step._waits(SimpleNamespace(device=torch.device(device), optimizer=optimizer)) is waits  # type: ignore[arg-type]


def test_the_memory_of_a_machine_without_proc_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS has no /proc, and counts what a process had in bytes."""
    usage = SimpleNamespace(ru_maxrss=3 * 2**30)
    monkeypatch.setattr(memory, "_numbers", lambda file: {})
    monkeypatch.setattr(memory, "_GROUPS", ())
    monkeypatch.setattr("kit.device.memory.sys.platform", "darwin")
    monkeypatch.setattr("kit.device.memory.resource.getrusage", lambda who: usage)
    monkeypatch.setattr(
        "kit.device.memory.os.sysconf", {"SC_PHYS_PAGES": 16 * 2**20, "SC_PAGE_SIZE": 1024}.get
    )
    assert memory.peak_bytes(torch.device("cpu")) == 3 * 2**30
    assert memory.device_memory(torch.device("cpu")) == memory.DeviceMemory(3 * 2**30, 13 * 2**30)
