"""Batches: makes uint8 batches from rows, a sampler and an augmenter, identical for any number of workers.

Keys become pixels in this process or in loader processes. Each image's draws depend only on (seed, fold,
epoch, row, how often the row came before in the epoch).
"""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kit.core.batching import even_batches, occurrence_index
from kit.core.files import format_bytes
from kit.core.pixel_types import to_floats
from kit.core.randomness import generator
from kit.errors import KitError, KitWarning, PluginError, RunError
from kit.images.cache import Cache
from kit.images.concat_cache import ConcatCache
from kit.images.reader import center_crop

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from kit.data.column_encoder import SideValues
    from kit.data.table import Table
    from kit.engine.bag_batches import ImageBags
    from kit.engine.unlabelled import UnlabelledRows
    from kit.kinds import Augmenter, Sampler

Key = tuple[int, int, int]  # epoch, row, occurrence: the key of one image of a batch
WORKER_TIMEOUT_S = 300  # seconds without a batch after which a loader process counts as hung
AHEAD = 4  # batches that each loader process makes in advance, if there is room for them
SHARED_MEMORY = Path("/dev/shm")  # Linux's folder of shared memory; 64 MB in Docker by default
SHARE_OF_FREE = 0.8  # share of it that loaders may fill, because other processes use it too
MORE_SHARED_MEMORY = "docker run --shm-size=2g, or --ipc=host; workers=0 loads in this process"


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Makes the pixels of single images. A loader process holds one for each use of its images."""

    cache: Cache | ConcatCache
    size: int
    crop_share: float = 1.0
    augmenter: Augmenter | None = None
    seed: int = 0
    fold: int = 0
    strong: Augmenter | None = None  # of the rows from `strong_from` on
    strong_from: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image of a batch."""
        return self.size, self.size, self.cache.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of an image of a batch: uint8, or float32 with white at 255."""
        return np.dtype(np.uint8 if self.cache.pixel_type == "uint8" else np.float32)

    def image(self, epoch: int, row: int, occurrence: int) -> np.ndarray:
        """Returns one image of an epoch. Raises DataError for a row without one, RunError if the augmenter fails."""
        image = self.cache[row]
        if image.dtype != np.uint8:
            image = to_floats(image)
        augmenter = self.augmenter if self.strong is None or row < self.strong_from else self.strong
        if augmenter is None:
            return center_crop(image, self.size, self.crop_share)
        rng = generator(self.seed, "augment", self.fold, epoch, row, occurrence)
        try:
            crop = augmenter(image, self.size, rng)
        except KitError:
            raise
        except Exception as error:
            raise self._read_error(row, f"{type(error).__name__}: {error}") from error
        if crop.shape != self.shape or crop.dtype != self.dtype:
            raise self._read_error(row, f"returned {crop.dtype} {crop.shape}, not {self.dtype} {self.shape}")
        return crop

    def _read_error(self, row: int, detail: str) -> RunError:
        name = type(self.augmenter).plugin_name() if self.augmenter else ""
        return RunError(f"augmenter {name!r} failed on {self.cache.paths[row]}: {detail}", code="R03")


@dataclass(frozen=True, eq=False)
class _Batches:
    """Makes whole batches of pixels of one of several sources. A loader process holds it."""

    sources: Sequence[ImageDataset]
    at: Any  # (workers, 2) int64 shared with the main process: each loader process's id, and the row it makes

    def __getitems__(self, wanted: tuple[int, Sequence[Key]]) -> Any:
        """Returns the images of a batch, a tensor of shape (N, size, size, channels), or the KitError that prevents it.

        The error is returned, because torch would rebuild a raised one from its text alone.
        """
        source, keys = self.sources[wanted[0]], wanted[1]
        try:
            stacked = _empty((len(keys), *source.shape), source.dtype)
            pixels = stacked.numpy()
            for index, key in enumerate(keys):
                self._note_row(key[1])
                pixels[index] = source.image(*key)
        except KitError as error:
            return error
        self._note_row(-1)
        return stacked

    def _note_row(self, row: int) -> None:
        """Records the row that is being made, in case this loader process is killed by it."""
        from torch.utils.data import get_worker_info

        me = get_worker_info()
        if me is not None:
            self.at[me.id, 0], self.at[me.id, 1] = os.getpid(), row


class LoaderProcesses:
    """Processes that load batches of several sources, one source at a time, and live until `close`.

    A fold's training stages and its held-out rows share them, so that no epoch starts processes. Without processes
    this one loads.
    """

    def __init__(self, workers: int | Literal["auto"], device: torch.device | None = None) -> None:
        from kit.device.precision import worker_count

        self.workers = self._wanted = worker_count(workers, device)
        self._pin = device is not None and device.type == "cuda"
        self._sources: list[ImageDataset] = []
        self._plan: list[tuple[int, list[Key]]] = []
        self._ahead, self._largest = AHEAD, -1  # bytes of the largest batch that fits the shared memory
        self._loader: Any = None
        self._at: Any = None
        self._others: set[Any] = set()  # child processes of others
        _one_thread()

    def add_source(self, images: ImageDataset) -> int:
        """Returns the number by which `load` knows these images. Processes that do not know them yet are replaced."""
        self._sources.append(images)
        self.close()
        return len(self._sources) - 1

    def load(self, source: int, plan: Sequence[list[Key]]) -> Iterator[Tensor]:
        """Yields the images of each batch, (N, channels, size, size). Raises the error that prevents a batch."""
        self._plan[:] = [(source, keys) for keys in plan]
        images = self._sources[source]
        self._fit(max(map(len, plan), default=0) * math.prod(images.shape) * images.dtype.itemsize)
        if self._loader is None:
            self._others = set(multiprocessing.active_children())
            self._loader = self._open()
        try:
            for loaded in self._loader:
                if isinstance(loaded, KitError):
                    raise loaded
                yield loaded.permute(0, 3, 1, 2)
        except RuntimeError as error:
            if "DataLoader" not in str(error):
                raise
            suspects = self._suspects(images)
            self._kill()
            raise RunError(
                f"a loader process ended or hung (out of memory?){' at ' * bool(suspects)}{' or '.join(suspects)}",
                code="R03",
                hint="check that image; workers=0 loads images in this process",
            ) from error

    def close(self) -> None:
        """Ends the processes. The next `load` starts new ones."""
        self._loader = None

    def _fit(self, largest: int) -> None:
        """Limits the processes to those whose batches, of this many bytes, fit into the shared memory."""
        if largest <= self._largest:
            return
        self._largest = largest
        fitting = fit_shared_memory(largest, self._wanted)
        if fitting != (self.workers, self._ahead):
            self.close()
            self.workers, self._ahead = fitting

    def _suspects(self, images: ImageDataset) -> list[str]:
        """Returns the images that lost processes were making, or else those that are still being made."""
        alive = {child.pid for child in multiprocessing.active_children()}
        unfinished = [(pid, row) for pid, row in self._at.tolist() if row >= 0]
        rows = [row for pid, row in unfinished if pid not in alive] or [row for _, row in unfinished]
        return [str(images.cache.paths[row]) for row in rows]

    def _kill(self) -> None:
        """Kills processes that may hang. They ignore SIGTERM, and would keep this one from ending."""
        for child in set(multiprocessing.active_children()) - self._others:
            for _ in range(2):  # torch's SIGCHLD handler raises once, in the middle of any code
                with suppress(RuntimeError):
                    child.kill()
                    child.join()
        self.close()

    def _open(self) -> Any:
        import torch
        from torch.utils.data import DataLoader

        busy: dict[str, Any] = (
            {"persistent_workers": True, "prefetch_factor": self._ahead, "timeout": WORKER_TIMEOUT_S}
            if self.workers
            else {}
        )
        self._at = torch.full((max(1, self.workers), 2), -1, dtype=torch.int64).share_memory_()
        return DataLoader(
            _Batches(tuple(self._sources), self._at),  # type: ignore[arg-type]
            batch_sampler=self._plan,  # type: ignore[arg-type]
            num_workers=self.workers,
            collate_fn=_as_it_is,
            worker_init_fn=_begin_worker,
            pin_memory=self._pin,
            **busy,
        )


class Loader:
    """Loads batches of keys of one source in order, by its own processes or by given ones."""

    def __init__(
        self,
        images: ImageDataset,
        workers: int | Literal["auto"],
        device: torch.device | None = None,
        processes: LoaderProcesses | None = None,
    ) -> None:
        self.images, self._is_owner = images, processes is None
        self._processes = processes or LoaderProcesses(workers, device)
        self._source = self._processes.add_source(images)

    @property
    def workers(self) -> int:
        """The number of loader processes; 0: this process loads."""
        return self._processes.workers

    def load(self, plan: Sequence[list[Key]]) -> Iterator[Tensor]:
        """Yields the images of each batch, (N, channels, size, size). Raises the error that prevents a batch."""
        yield from self._processes.load(self._source, plan)

    def close(self) -> None:
        """Ends the loader's own processes. The next `load` starts new ones."""
        if self._is_owner:
            self._processes.close()


def _empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
    """Returns an uninitialised tensor. In a loader process it is in the memory shared with the main process.

    torch would move it there in its own thread, whose errors leave the main process waiting. Raises RunError
    R03 if there is no space.
    """
    import torch
    from torch.utils.data import get_worker_info

    from kit.device.torch_internals import allocate_shared

    kind = torch.uint8 if dtype == np.uint8 else torch.float32
    if get_worker_info() is None:
        return torch.empty(shape, dtype=kind)
    try:
        storage = allocate_shared(math.prod(shape) * dtype.itemsize)
    except (RuntimeError, OSError) as error:
        raise RunError(
            f"a loader process got no shared memory for a batch: {str(error).splitlines()[0]}",
            code="R03",
            hint=MORE_SHARED_MEMORY,
        ) from None
    return torch.empty(0, dtype=torch.uint8).set_(storage).view(kind).view(shape)


def fit_shared_memory(batch: int, workers: int) -> tuple[int, int]:
    """Returns the numbers of loader processes, and of batches that each makes in advance, that fit into the
    shared memory.

    Warns (W63) if fewer fit than are wanted.
    """
    from kit.device import ranks

    if not workers or not SHARED_MEMORY.is_dir():
        return workers, AHEAD
    free = int(SHARE_OF_FREE * shutil.disk_usage(SHARED_MEMORY).free) // ranks.local_world_size()
    fewer = [(count, 2) for count in range(workers, 0, -1)]
    worker_counts = [*((workers, ahead) for ahead in range(AHEAD, 2, -1)), *fewer, (1, 1)]
    # in addition to those in advance, one is being passed on and one is in use
    fitting = next((pair for pair in worker_counts if batch * (pair[0] * pair[1] + 2) <= free), (0, 0))
    if fitting != (workers, AHEAD):
        wanted, text = (
            format_bytes(batch * (workers * AHEAD + 2)),
            f"{fitting[0]} of {workers} loader processes",
        )
        if fitting[0]:
            text += f", each {fitting[1]} batch{'es' * (fitting[1] > 1)} ahead"
        warnings.warn(
            KitWarning(
                f"W63 {SHARED_MEMORY} has room for {format_bytes(free)}, loading would take {wanted}: {text}\n"
                f"try: {MORE_SHARED_MEMORY}"
            ),
            stacklevel=2,
        )
    return fitting


def _as_it_is(loaded: Any) -> Any:
    return loaded


def _begin_worker(number: int) -> None:
    """Ignores signals in a loader process. The main process ends the workers after its checkpoint."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _one_thread()


def _one_thread() -> None:
    """Limits cv2 to one thread: its threads would compete with torch's for images too small to gain."""
    import cv2

    cv2.setNumThreads(0)


@dataclass(frozen=True, eq=False)
class Batch:
    """N images (N, channels, H, W) in channels-last memory, their labels and rows of the table (N,), int64.

    Images are uint8, or with a `data.pixel_type` of more bits float32 with white at 255. Labels are class
    numbers (N,) int64, -1 if the rows have none; or (N, width) float32, such as multi-hot. If several ranks
    share a step, `global_rows` (M,) has the rows of all of them. `side` (N, W) float32 has the values of the
    rows' side columns, if the network takes any.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor
    global_rows: Tensor | None = None
    side: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def step_rows(self) -> Tensor:
        """The rows of the whole step."""
        return self.rows if self.global_rows is None else self.global_rows

    def pin_for(self, device: torch.device) -> Batch:
        """Returns the batch in page-locked memory for a CUDA GPU, as loaders do; itself for other devices."""
        if device.type != "cuda":
            return self
        side = None if self.side is None else self.side.pin_memory()
        return replace(self, images=self.images.pin_memory(), labels=self.labels.pin_memory(), side=side)


class TrainBatches:
    """The augmented batches of one fold's training rows, epoch by epoch.

    With several `ranks` each gets its part of every batch; the parts together are the batch of one rank. The
    loss receives `targets` if they differ from the `labels` that the sampler sees. `processes` also load for
    others. Views of `unlabelled` rows follow each batch: all weak ones, then the strong ones in the same order.
    With `bags` a bag is named by its first row.
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
        side: SideValues | None = None,
        unlabelled: UnlabelledRows | None = None,
        bags: ImageBags | None = None,
    ) -> None:
        self.rank, self.ranks, self.side, self.unlabelled = rank, ranks, side, unlabelled
        self.labels, self.rows = np.asarray(labels), np.asarray(rows, np.int64)
        self.rows = self.rows if bags is None else bags.first_rows(self.rows)
        self.targets = self.labels if targets is None else targets
        self.sampler, self.batch_size, self.seed, self.fold = sampler, batch_size, seed, fold
        images = ImageDataset(cache, size, augmenter=augmenter, seed=seed, fold=fold)
        if unlabelled is not None:
            images = replace(images, strong=unlabelled.strong, strong_from=unlabelled.strong_from)
        self._loader = Loader(images if bags is None else bags.over(images), workers, device, processes)
        self.steps = len(even_batches(len(self.order(0)), batch_size))

    def order(self, epoch: int) -> np.ndarray:
        """Returns the rows of the table in an epoch, in their order."""
        rng = generator(self.seed, "order", self.fold, epoch)
        return np.asarray(self.rows[self.sampler.order(self.labels[self.rows], rng)])

    def epoch(self, number: int, first_step: int = 0) -> Iterator[Batch]:
        """Yields the batches of an epoch from one step on. Raises DataError for a row without an image."""
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
        if self.unlabelled is not None:
            rows, keys = self.unlabelled.add_views(number, order, times, parts[first_step:])
            for chosen, images in zip(rows, self._loader.load(keys), strict=True):
                yield batch(images, chosen, self.targets)
            return
        wholes = parts[first_step:]
        parts = [np.array_split(whole, self.ranks)[self.rank] for whole in wholes]
        plan = [[(number, int(order[at]), int(times[at])) for at in part] for part in parts]
        for part, whole, images in zip(parts, wholes, self._loader.load(plan), strict=True):
            shared = order[whole] if self.ranks > 1 else None
            yield batch(images, order[part], self.targets, shared, self.side)

    def close(self) -> None:
        """Ends the loader processes, unless others use them too."""
        self._loader.close()


class PlainBatches:
    """Rows or their bags in order, each once, by the geometry of prediction: the centre square, without draws."""

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
        side: SideValues | None = None,
        bags: ImageBags | None = None,
    ) -> None:
        self.rows, self.batch_size, self.labels = np.asarray(rows, np.int64), batch_size, labels
        self.side = side
        images = ImageDataset(cache, size, crop_share)
        self._loader = Loader(images if bags is None else bags.over(images), workers, device, processes)

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        parts = [self.rows[at : at + self.batch_size] for at in range(0, len(self.rows), self.batch_size)]
        plan = [[(0, int(row), 0) for row in part] for part in parts]
        for part, images in zip(parts, self._loader.load(plan), strict=True):
            yield batch(images, part, self.labels, side=self.side)

    def close(self) -> None:
        """Ends the loader processes, unless others use them too."""
        self._loader.close()


def random_batch(table: Table, count: int, size: int, channels: int = 3) -> Batch:
    """Returns random pixels in the loader's form, with labels of the table's rows."""
    import torch

    pixels = torch.randint(0, 256, (count, size, size, channels), dtype=torch.uint8).permute(0, 3, 1, 2)
    return batch(pixels, np.resize(np.arange(len(table)), count), table.targets())


def batch(
    images: Tensor,
    rows: np.ndarray,
    labels: np.ndarray | None,
    whole: np.ndarray | None = None,
    side: SideValues | None = None,
) -> Batch:
    """Returns a batch of table rows, with labels if they have any. `whole` are all rows of a shared step."""
    import torch

    batch_labels = np.full(len(rows), -1) if labels is None else np.asarray(labels)[rows]
    typed = batch_labels.astype(np.float32 if batch_labels.ndim == 2 else np.int64)
    shared = None if whole is None else torch.from_numpy(whole.copy())
    values = None if side is None else torch.from_numpy(side.of(rows))
    return Batch(images, torch.from_numpy(typed), torch.from_numpy(rows.copy()), shared, values)
