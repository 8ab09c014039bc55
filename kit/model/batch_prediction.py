"""Predictions of batches of images by one or several networks, which share one pass over the images.

Every image is read once and goes to the device once. Each network is shown the same batches as if it had been alone,
so that not a bit of its predictions depends on the other networks. A GPU predicts several batches together, and its
results are read one batch late.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from kit.core.progress import Progress, Work
from kit.device import memory
from kit.device.host_copies import HostCopies
from kit.model.images_at_once import training_batches_at_once
from kit.model.predict import (
    Merge,
    NetworkOnDevice,
    Predictor,
    SafeBatchSize,
    View,
    predict_with_oom_retry,
)

if TYPE_CHECKING:
    from kit.engine.batches import Batch


def predict_all(
    predictors: Sequence[Predictor],
    batches: Iterable[Batch],
    views: Sequence[View],
    merge: Merge,
    rows: int,
    task: str,
) -> Work[list[np.ndarray]]:
    """Probabilities (rows, K) float32 of each predictor: every image is read once for all views and networks.

    Of no rows, an array (0, 0).
    """
    found: list[list[np.ndarray]] = [[] for _ in predictors]
    done, groups, copies = 0, SafeBatchSize(), HostCopies()
    for predictor in predictors:
        predictor.network.eval()
    readers = [(predictor, views, merge) for predictor in predictors]
    for images in _gather(batches, readers):
        for predictor, parts in zip(predictors, found, strict=True):
            made = yield from predict_with_oom_retry(
                predictor, images, views, merge, groups, Progress(task, done, rows)
            )
            copies.add(made, parts.append)
        done += len(images)
        yield Progress(task, done, rows, f"{len(views)} view{'s' * (len(views) > 1)}")
    copies.finish()
    nothing = np.empty((0, 0), np.float32)
    return [np.concatenate(parts) if parts else nothing for parts in found]


def _gather(
    batches: Iterable[Batch], readers: Sequence[tuple[NetworkOnDevice, Sequence[View], Merge]]
) -> Iterator[Tensor]:
    """The images of batches on the networks' device, of as many batches at a time as it predicts together."""
    waiting: list[Tensor] = []
    together = 0
    for batch in batches:
        waiting.append(_move(batch.images, readers[0][0].device))
        together = together or training_batches_at_once(readers, waiting[0], len(batch.rows))
        if len(waiting) == together:
            yield from _join(waiting)
            waiting = []
    yield from _join(waiting)


def _move(images: Tensor, device: torch.device) -> Tensor:
    """The images on a device, or where they are if it has no memory for them: then they go there in parts."""
    try:
        return images.to(device, non_blocking=True)
    except Exception as error:
        if not memory.is_out_of_memory(error):
            raise
    memory.empty_cache(device)
    return images


def _join(parts: Sequence[Tensor]) -> list[Tensor]:
    """The images of all parts in one tensor, or the parts if they cannot be joined."""
    if len(parts) < 2 or len({part.device for part in parts}) > 1:
        return list(parts)
    try:
        return [torch.cat(list(parts))]
    except Exception as error:
        if not memory.is_out_of_memory(error):
            raise
    return list(parts)


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

    def fill(self, part: slice, made: np.ndarray) -> None:
        """Puts what the network finds in a part of `rows` into its places."""
        self.found[self.places[part]] = made


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
            # rows of memory, as they lie; an index on the host would make the host wait for the GPU
            lying = images.permute(0, 2, 3, 1)
            images = lying[chosen.to(images.device, non_blocking=True)].permute(0, 3, 1, 2)
        self._waiting.append(images)
        self._held += int(high - low)


def predict_shared(
    readers: Sequence[NetworkReader], batches: Iterable[Batch], task: str, detail: str
) -> Work[None]:
    """Fills what each reader's network finds in batches that hold the rows of all of them, ascending."""
    with memory.retain_freed_memory(readers[0].predictor.device):
        yield from _predict_passes(readers, batches, task, detail)


def _predict_passes(
    readers: Sequence[NetworkReader], batches: Iterable[Batch], task: str, detail: str
) -> Work[None]:
    groups, copies = SafeBatchSize(), HostCopies()
    cutters: list[tuple[Rebatcher, list[NetworkReader]]] = []
    done, total = 0, sum(len(reader.rows) for reader in readers)
    for batch in batches:
        moved = replace(batch, images=_move(batch.images, readers[0].predictor.device))
        cutters = cutters or _cutters(readers, moved.images)
        before = done
        for cutter, those in cutters:
            for part, images in cutter.rebatch(moved):
                for reader in those:
                    at = Progress(task, done, total, detail)
                    made = yield from predict_with_oom_retry(
                        reader.predictor, images, reader.views, reader.merge, groups, at
                    )
                    copies.add(made, partial(reader.fill, part))
                    done += len(images)
        if done > before:  # or all that was read waits for more of its kind
            yield Progress(task, done, total, detail)
    copies.finish()


def _cutters(readers: Sequence[NetworkReader], images: Tensor) -> list[tuple[Rebatcher, list[NetworkReader]]]:
    """The networks that are shown the same batches, with what cuts these."""
    shared: dict[tuple[str, int], list[NetworkReader]] = {}
    for reader in readers:
        reader.predictor.network.eval()
        name = hashlib.sha256(reader.rows.tobytes()).hexdigest()
        shared.setdefault((name, reader.batch_size), []).append(reader)
    found = []
    for those in shared.values():
        shown = [(reader.predictor, reader.views, reader.merge) for reader in those]
        together = training_batches_at_once(shown, images, those[0].batch_size)
        found.append((Rebatcher(those[0].rows, together * those[0].batch_size), those))
    return found
