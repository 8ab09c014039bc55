"""sharing: one pass over images for several networks, each with rows, a batch size and views of its own.

Every image is read once. Each network is shown the same batches as if it had been alone, so that not a bit of what it
predicts depends on who else reads along.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from kit.core.progress import Progress, Work
from kit.device import allocator
from kit.model.predict import Merge, NetworkOnDevice, SafeBatchSize, View, predict_with_oom_retry

if TYPE_CHECKING:
    from kit.engine.batches import Batch


@dataclass(frozen=True, eq=False)
class NetworkReader:
    """A network that reads along: which rows it is shown, in which batches, and where what it says goes."""

    predictor: NetworkOnDevice
    views: Sequence[View]
    merge: Merge
    rows: np.ndarray  # (N,) int64, positions in the table, ascending
    batch_size: int
    found: np.ndarray  # (any number of rows, K) of floats, such as probabilities, to be filled
    places: np.ndarray  # (N,) int64, the row of `found` that is filled for each of `rows`


class Rebatcher:
    """Cuts a stream of batches, whose rows ascend, into batches of some of these rows, all of one size but the last."""

    def __init__(self, rows: np.ndarray, size: int) -> None:
        self.rows, self.size = rows, size
        self._waiting: list[Tensor] = []
        self._held, self._begun = 0, 0  # images that wait, and rows that were passed on

    def rebatch(self, batch: Batch) -> Iterator[tuple[slice, Tensor]]:
        """The batches that can be made now: which of `rows` they are, and their images."""
        self._keep(batch)
        while self._held >= self.size or (self._held and self._begun + self._held == len(self.rows)):
            waiting = self._waiting[0] if len(self._waiting) == 1 else torch.cat(self._waiting)
            count = min(self.size, self._held)
            self._waiting = [waiting[count:]] if count < self._held else []
            yield slice(self._begun, self._begun + count), waiting[:count]
            self._held, self._begun = self._held - count, self._begun + count

    def _keep(self, batch: Batch) -> None:
        there = batch.rows.numpy()
        low, high = np.searchsorted(self.rows, [there[0], there[-1] + 1])
        if low == high:
            return
        images = batch.images
        if high - low < len(there):
            chosen = torch.from_numpy(np.searchsorted(there, self.rows[low:high]))
            images = images.permute(0, 2, 3, 1)[chosen].permute(0, 3, 1, 2)  # rows of memory, as they lie
        self._waiting.append(images)
        self._held += int(high - low)


def predict_shared(
    readers: Sequence[NetworkReader], batches: Iterable[Batch], task: str, detail: str
) -> Work[None]:
    """Fills what each reader's network finds in batches that hold the rows of all of them, ascending."""
    with allocator.retain_freed_memory(readers[0].predictor.device):
        yield from _predict_passes(readers, batches, task, detail)


def _predict_passes(
    readers: Sequence[NetworkReader], batches: Iterable[Batch], task: str, detail: str
) -> Work[None]:
    shared: dict[tuple[str, int], list[NetworkReader]] = {}
    for reader in readers:
        reader.predictor.network.eval()
        name = hashlib.sha256(reader.rows.tobytes()).hexdigest()
        shared.setdefault((name, reader.batch_size), []).append(reader)
    cutters = [(Rebatcher(those[0].rows, those[0].batch_size), those) for those in shared.values()]
    groups = SafeBatchSize()
    done, total = 0, sum(len(reader.rows) for reader in readers)
    for batch in batches:
        before = done
        for cutter, those in cutters:
            for part, images in cutter.rebatch(batch):
                for reader in those:
                    at = Progress(task, done, total, detail)
                    shares = yield from predict_with_oom_retry(
                        reader.predictor, images, reader.views, reader.merge, groups, at
                    )
                    reader.found[reader.places[part]] = shares.cpu().numpy()
                    done += len(images)
        if done > before:  # or all that was read waits for more of its kind
            yield Progress(task, done, total, detail)
