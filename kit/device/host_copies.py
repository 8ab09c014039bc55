"""HostCopies: results of a GPU are read one batch late, while it computes the next batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

Fill = Callable[[np.ndarray], None]


class HostCopies:
    """Hands each batch's results to a function as an array; a GPU's when the next batch is queued, a CPU's at once.

    To read the results of the batch that was just queued would leave the GPU without work until the next one.
    """

    def __init__(self) -> None:
        self._waiting: tuple[Tensor, Any, Fill] | None = None

    def add(self, results: Tensor, fill: Fill) -> None:
        """Queues the copy of a batch's results, and hands over the batch before."""
        if results.device.type == "cpu":
            fill(results.numpy())
            return
        queued = (*_queue_copy(results), fill)
        self.finish()
        self._waiting = queued

    def finish(self) -> None:
        """Hands over what is left, after the last batch."""
        if self._waiting is not None:
            host, copied, fill = self._waiting
            self._waiting = None
            if copied is not None:
                copied.synchronize()
            fill(host.cpu().numpy())


def _queue_copy(results: Tensor) -> tuple[Tensor, Any]:
    """The results' copy in page-locked memory, and the event after which it is whole; on MPS the results, None."""
    if results.device.type != "cuda":
        return results, None
    host = torch.empty(results.shape, dtype=results.dtype, pin_memory=True)
    host.copy_(results, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record()
    return host, copied
