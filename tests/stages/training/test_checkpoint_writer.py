"""A checkpoint holds the values of its moment, is written while training continues, and its errors are raised."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from kit.device import memory
from kit.errors import RunError
from kit.model import checkpoints
from kit.model.checkpoints import CheckpointProvenance
from kit.stages.training.fold_results import CheckpointWriter, copy_to_host

CPU = torch.device("cpu")


@pytest.fixture
def writer() -> Iterator[CheckpointWriter]:
    checkpoint_writer = CheckpointWriter(CPU)
    yield checkpoint_writer
    checkpoint_writer.close()


def test_the_file_has_the_values_of_the_moment_of_the_call(writer: CheckpointWriter, tmp_path: Path) -> None:
    weights = {"weight": torch.arange(6.0).view(1, 2, 3, 1).to(memory_format=torch.channels_last)}
    state: dict[str, Any] = {"optimizer": {"moments": [torch.ones(3)], "groups": [{"lr": 0.1}]}}
    may_write = threading.Event()

    def write(values: Any) -> None:
        assert may_write.wait(60)
        weights, _, state = values
        checkpoints.save(tmp_path, 1, weights, None, state, CheckpointProvenance())

    writer.save((weights, None, state), write)
    assert writer.is_writing  # and training continues
    weights["weight"].zero_()
    state["optimizer"]["moments"][0].zero_()
    state["optimizer"]["groups"][0]["lr"] = 0.2
    may_write.set()
    writer.wait()
    assert not writer.is_writing
    read = safetensors.torch.load_file(tmp_path / "0001" / "model.safetensors")
    assert read["weight"].flatten().tolist() == [0, 1, 2, 3, 4, 5]
    kept = torch.load(tmp_path / "0001" / "state.pt", weights_only=True)["optimizer"]
    assert kept["moments"][0].tolist() == [1, 1, 1]
    assert kept["groups"][0]["lr"] == 0.1


def test_one_checkpoint_is_written_at_a_time(writer: CheckpointWriter) -> None:
    running, most = [0], [0]

    def write(values: Any) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        threading.Event().wait(0.02)
        running[0] -= 1

    for _ in range(4):
        writer.save({}, write)
    writer.wait()
    assert most == [1]
    assert writer.longest_s >= 0.02


@pytest.mark.parametrize("how", ["wait", "raise_failure", "save"])
def test_an_error_of_the_thread_is_raised_by_the_next_call(writer: CheckpointWriter, how: str) -> None:
    def fail(values: Any) -> None:
        raise RunError("disk full while writing x", code="R06", hint="free some space")

    writer.save({}, fail)
    with pytest.raises(RunError, match="R06 disk full"):
        if how == "save":
            writer.save({}, lambda values: None)
        while how != "save":
            getattr(writer, how)()
    writer.wait()  # once


def test_where_host_memory_is_short_nothing_is_copied(
    writer: CheckpointWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, seen = {"weight": torch.ones(100)}, []
    for free, is_copy in ((10_000, True), (100, False)):
        monkeypatch.setattr(
            memory, "device_memory", lambda device, free=free: memory.DeviceMemory(taken=0, free=free)
        )
        writer.save(weights, lambda values: seen.append(values["weight"] is not weights["weight"]))
        writer.wait()
        assert seen[-1] == is_copy


def test_views_of_one_tensor_are_copied_apart() -> None:
    whole = torch.arange(8.0)
    copied = copy_to_host({"first": whole[:4], "rest": (whole[4:], 3, None)}, CPU)
    assert copied["first"].tolist() == [0, 1, 2, 3]
    assert copied["rest"][0].tolist() == [4, 5, 6, 7]
    assert copied["rest"][1:] == (3, None)
    assert copied["first"].untyped_storage().data_ptr() != copied["rest"][0].untyped_storage().data_ptr()


def test_where_no_thread_can_be_started_checkpoints_are_written_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as context:
        context.setattr(threading.Thread, "start", start)
        writer = CheckpointWriter(CPU)
    written: list[Any] = []
    writer.save({"weight": torch.ones(2)}, written.append)
    assert not writer.is_writing
    assert len(written) == 1
    writer.close()
