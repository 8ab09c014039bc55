"""Batches: rows, a sampler and an augmenter make uint8 batches, the same ones whatever the number of workers.

Each image's draws depend on (seed, fold, epoch, row, how often the row came before in the epoch) alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from kit.core.batching import even_batches
from kit.core.randomness import generator
from kit.engine.loader import ImageDataset, Loader, LoaderProcesses
from kit.errors import PluginError
from kit.images.cache import Cache
from kit.images.concat_cache import ConcatCache

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from kit.data.table import Table
    from kit.kinds import Augmenter, Sampler


@dataclass(frozen=True, eq=False)
class Batch:
    """N images (N, channels, H, W) in channels-last memory, their labels and rows of the table (N,), int64.

    Images are uint8, or of a `data.pixel_type` with more bits float32 with white at 255.
    Labels are class numbers (N,) int64, -1 where the rows have none; or (N, width) float32, such as multi-hot. Where
    several ranks share a step, `global_rows` (M,) has the rows of all of them.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor
    global_rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def step_rows(self) -> Tensor:
        """The rows of the whole step."""
        return self.rows if self.global_rows is None else self.global_rows

    def pin_for(self, device: torch.device) -> Batch:
        """The batch in page-locked memory for a CUDA GPU, as loaders hand it over; itself for other devices."""
        if device.type != "cuda":
            return self
        return replace(self, images=self.images.pin_memory(), labels=self.labels.pin_memory())


class TrainBatches:
    """The augmented batches of one fold's training rows, epoch by epoch.

    Of several `ranks` each gets its part of every batch; the parts of all are the batch of one. A loss is given
    `targets` where they are not the `labels` that the sampler sees. `processes` load for others too.
    """

    def __init__(
        self,
        cache: Cache | ConcatCache,
        labels: np.ndarray,
        rows: np.ndarray,
        sampler: Sampler,
        augmenter: Augmenter,
        size: int,
        batch_size: int,
        seed: int = 0,
        fold: int = 0,
        workers: int | Literal["auto"] = "auto",
        device: torch.device | None = None,
        rank: int = 0,
        ranks: int = 1,
        targets: np.ndarray | None = None,
        processes: LoaderProcesses | None = None,
    ) -> None:
        self.rank, self.ranks = rank, ranks
        self.labels, self.rows = np.asarray(labels), np.asarray(rows, np.int64)
        self.targets = self.labels if targets is None else targets
        self.sampler, self.batch_size, self.seed, self.fold = sampler, batch_size, seed, fold
        self._loader = Loader(
            ImageDataset(cache, size, augmenter=augmenter, seed=seed, fold=fold), workers, device, processes
        )
        self.steps = len(even_batches(len(self.order(0)), batch_size))

    def order(self, epoch: int) -> np.ndarray:
        """The rows of the table that an epoch sees, in their order."""
        rng = generator(self.seed, "order", self.fold, epoch)
        ordered: np.ndarray = self.rows[self.sampler.order(self.labels[self.rows], rng)]
        return ordered

    def epoch(self, number: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from one step on. Raises DataError for a row without an image."""
        order = self.order(number)
        times = occurrence_index(order)
        parts = even_batches(len(order), self.batch_size)
        if len(parts) != self.steps:
            name = type(self.sampler).plugin_name()
            raise PluginError(
                f"sampler {name!r} returns epochs of different lengths ({self.steps} steps, then "
                f"{len(parts)})",
                code="P07",
            )
        wholes = parts[first_step:]
        parts = [np.array_split(whole, self.ranks)[self.rank] for whole in wholes]
        plan = [[(number, int(order[at]), int(times[at])) for at in part] for part in parts]
        for part, whole, images in zip(parts, wholes, self._loader.load(plan), strict=True):
            yield batch(images, order[part], self.targets, order[whole] if self.ranks > 1 else None)

    def close(self) -> None:
        """Ends the loader processes, unless others use them too."""
        self._loader.close()


class PlainBatches:
    """Rows in order, each once, by the geometry of prediction: the square in the middle, nothing drawn."""

    def __init__(
        self,
        cache: Cache,
        rows: np.ndarray,
        size: int,
        crop_share: float = 1.0,
        batch_size: int = 64,
        workers: int | Literal["auto"] = "auto",
        labels: np.ndarray | None = None,
        device: torch.device | None = None,
        processes: LoaderProcesses | None = None,
    ) -> None:
        self.rows, self.batch_size, self.labels = np.asarray(rows, np.int64), batch_size, labels
        self._loader = Loader(ImageDataset(cache, size, crop_share), workers, device, processes)

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        parts = [self.rows[at : at + self.batch_size] for at in range(0, len(self.rows), self.batch_size)]
        plan = [[(0, int(row), 0) for row in part] for part in parts]
        for part, images in zip(parts, self._loader.load(plan), strict=True):
            yield batch(images, part, self.labels)

    def close(self) -> None:
        """Ends the loader processes, unless others use them too."""
        self._loader.close()


def random_batch(table: Table, count: int, size: int, channels: int = 3) -> Batch:
    """Random pixels as the loader gives them, with labels of the table's rows."""
    import torch

    pixels = torch.randint(0, 256, (count, size, size, channels), dtype=torch.uint8).permute(0, 3, 1, 2)
    return batch(pixels, np.resize(np.arange(len(table)), count), table.targets())


def batch(
    images: Tensor, rows: np.ndarray, labels: np.ndarray | None, whole: np.ndarray | None = None
) -> Batch:
    """A batch of rows of the table, with their labels where there are any; `whole` are all rows of a shared step."""
    import torch

    named = np.full(len(rows), -1) if labels is None else np.asarray(labels)[rows]
    typed = named.astype(np.float32 if named.ndim == 2 else np.int64)
    shared = None if whole is None else torch.from_numpy(whole.copy())
    return Batch(images, torch.from_numpy(typed), torch.from_numpy(rows.copy()), shared)


def occurrence_index(order: np.ndarray) -> np.ndarray:
    """How often each entry came before, (N,): 0 for the first time a row comes."""
    by_row = np.argsort(order, kind="stable")
    ordered = order[by_row]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    times = np.empty(len(order), np.int64)
    times[by_row] = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    return times
