"""CheckpointWriter: checkpoints are copied to host memory at once, and written by a thread while training continues."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from kit.device import memory
from kit.model.checkpoints import size

SPARE_FACTOR = 2  # times a checkpoint's bytes, free host memory below which it is written without a copy
Write = Callable[[Any], object]  # what writes the values that it is given


class CheckpointWriter:
    """Writes one checkpoint at a time. An error of the thread is raised by the next call.

    All calls come from one thread, which trains.
    """

    def __init__(self, device: torch.device) -> None:
        self.longest_s = 0.0  # seconds that a checkpoint took, from its copy until it was written
        self._device = device
        self._pool = _start_thread()
        self._pending: Future[None] | None = None

    @property
    def is_writing(self) -> bool:
        """Whether a checkpoint is not written yet."""
        return self._pending is not None and not self._pending.done()

    def save(self, values: Any, write: Write) -> None:
        """Waits for the checkpoint before, copies the tensors of nested values, and has the copy written.

        Where there is no thread or host memory is short, the values are written as they are, before this returns.
        """
        self.wait()
        start = time.monotonic()
        is_short = memory.device_memory(torch.device("cpu")).free < SPARE_FACTOR * size(values)
        if self._pool is None or is_short:
            self._write(start, write, values)
        else:
            self._pending = self._pool.submit(self._write, start, write, copy_to_host(values, self._device))

    def _write(self, start: float, write: Write, values: Any) -> None:
        write(values)
        self.longest_s = max(self.longest_s, time.monotonic() - start)

    def raise_failure(self) -> None:
        """Raises the error of a checkpoint that could not be written; waits for none."""
        if self._pending is not None and self._pending.done():
            self.wait()

    def wait(self) -> None:
        """Returns when nothing is left to be written. Raises what prevented the last checkpoint."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Ends the thread when its checkpoint is written; an error of it is not raised."""
        if self._pool is not None:
            self._pool.shutdown()


def _start_thread() -> ThreadPoolExecutor | None:
    """A pool of one thread that runs already, because memory may be short later; None if it cannot be started."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
    try:
        pool.submit(int).result()
    except RuntimeError:  # can't start new thread
        return None
    return pool


def copy_to_host(values: Any, device: torch.device) -> Any:
    """Nested mappings and lists with their tensors copied to host memory; a GPU's copies are queued, then awaited."""
    copied = _copy(values)
    memory.wait_for(device)
    return copied


def _copy(values: Any) -> Any:
    if isinstance(values, Tensor):
        return _copy_tensor(values.detach())
    if isinstance(values, Mapping):
        return {key: _copy(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return type(values)(_copy(value) for value in values)
    return values


def _copy_tensor(tensor: Tensor) -> Tensor:
    if tensor.device.type != "cuda":
        return tensor.cpu() if tensor.device.type != "cpu" else tensor.clone()
    host = torch.empty_like(tensor, device="cpu", pin_memory=True)
    return host.copy_(tensor, non_blocking=True)
