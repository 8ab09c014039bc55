"""While a network runs on a CPU, freed memory stays with the process; then it is given back."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from kit.device import memory

CPU = torch.device("cpu")
LARGE = 256 * 2**20  # bytes, far above what glibc maps by itself

pytestmark = pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="no glibc")


@pytest.fixture(autouse=True)
def unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that does not mention malloc."""
    for name in [name for name in os.environ if name.startswith("MALLOC_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)


def left_behind() -> int:
    """Bytes that stay with the process after a large tensor came and went."""
    memory.empty_cache(CPU)
    before = memory.device_memory(CPU).taken
    torch.ones(LARGE, dtype=torch.uint8)
    return memory.device_memory(CPU).taken - before


def test_what_is_freed_stays_until_the_end_and_is_then_given_back() -> None:
    script = (
        "from tests.device.test_memory import *\n"
        "before = memory.device_memory(CPU).taken\n"
        "with memory.retain_freed_memory(CPU): print(left_behind())\n"
        "print(memory.device_memory(CPU).taken - before, left_behind())"
    )
    command = [sys.executable, "-c", script]  # a heap that no other test has grown
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    kept, more, afterwards = map(int, done.stdout.split())
    assert kept > 0.9 * LARGE
    assert more < 0.1 * LARGE, "given back at the end"
    assert afterwards < 0.1 * LARGE, "glibc gives back as before"


def test_it_ends_with_an_error_too() -> None:
    with pytest.raises(KeyError), memory.retain_freed_memory(CPU):
        raise KeyError
    assert left_behind() < 0.1 * LARGE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MALLOC_ARENA_MAX_", "1"),
        ("MALLOC_TRIM_THRESHOLD_", "0"),
        ("GLIBC_TUNABLES", "glibc.malloc.arena_max=1"),
    ],
)
def test_what_the_environment_says_of_malloc_stands(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with memory.retain_freed_memory(CPU):
        assert left_behind() < 0.1 * LARGE


def test_a_gpu_is_torchs_affair() -> None:
    with memory.retain_freed_memory(torch.device("cuda")):
        assert left_behind() < 0.1 * LARGE
