"""The ranks: the processes that train one model together, as torchrun or `kit train --devices` starts them.

Functions that ranks run together take a `Ranks` value. A single process is `ALONE`, rank 0 of 1, which never
communicates. After each step all ranks hold the same weights, average, optimizer and buffers, bit for bit.
Only rank 0 writes. Before each exchange all ranks report that they are ready, so a rank that fails leaves
none of them waiting.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from kit.core.progress import Work, finish
from kit.errors import KitError, RunError

T = TypeVar("T")
# how long a rank waits for the others; an ended rank is noticed at once, by its closed connection
RANK_TIMEOUT = timedelta(minutes=30)
NCCL_OOM_TEXTS = ("Failed to CUDA calloc", "Failed to CUDA malloc")  # NCCL's, for a GPU without memory for it
FAILURE_KEY, MAX_FAILURE_CHARACTERS = "last words", 500


class RemoteError(KitError):
    """Rank 0 failed and has printed its error. The other ranks exit with the same status."""

    def __init__(self, summary: str, exit_code: int = 1) -> None:
        super().__init__(summary)
        self.__dict__["exit_code"] = exit_code

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.summary, self.exit_code)


class RankLostError(RunError):
    """Another rank has ended or does not answer."""


@dataclass(frozen=True)
class Ranks:
    """This process's number among the processes that train together, and their collective operations."""

    rank: int = 0
    count: int = 1
    store: Store | None = field(default=None, repr=False, compare=False)  # folder of the ranks' last errors

    @property
    def is_zero(self) -> bool:
        """Whether this is the rank that writes and prints."""
        return self.rank == 0

    def all_reduce_max(self, number: int) -> int:
        """Returns the highest of all ranks' numbers."""
        if self.count == 1:
            return number
        numbers = torch.tensor([number], dtype=torch.int64)
        with self.communicate():
            dist.all_reduce(numbers, dist.ReduceOp.MAX)
        return int(numbers)

    def all_reduce_min(self, number: int) -> int:
        """Returns the lowest of all ranks' numbers."""
        return -self.all_reduce_max(-number)

    def all_gather(self, value: T) -> list[T]:
        """Returns every rank's value, by rank, on all ranks. Values are pickled between processes of one command."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        with self.communicate():
            dist.all_gather_object(values, value)
        return cast(list[T], values)

    @torch.no_grad()
    def all_reduce(self, sums: Sequence[Tensor], means: Sequence[Tensor] = ()) -> None:
        """Replaces each tensor by its sum or its mean over all ranks, in one message."""
        tensors = [*sums, *means]
        if self.count == 1 or not tensors:
            return
        sent = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
        AsyncAllReduce(self, sent).wait()
        sent[sum(tensor.numel() for tensor in sums) :] /= self.count
        parts = sent.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view(tensor.shape))

    def all_reduce_if(self, ready: bool, sums: Sequence[Tensor], means: Sequence[Tensor]) -> bool:
        """Whether all ranks are ready; if so, `all_reduce` of the tensors. On a CPU both are one message."""
        if self.count == 1:
            return ready
        if sums[0].device.type != "cpu":  # reading a number of a GPU would wait for it
            all_ready = self.all_reduce_min(int(ready)) > 0
            if all_ready:
                self.all_reduce(sums, means)
            return all_ready
        missing = torch.tensor(float(not ready))
        # the values of a rank that is not ready may be anything, so all leave their tensors as they are
        copies = [tensor.clone() for tensor in (*sums, *means)]
        self.all_reduce([missing, *copies[: len(sums)]], copies[len(sums) :])
        if missing == 0:
            for tensor, copied in zip((*sums, *means), copies, strict=True):
                tensor.copy_(copied)
        return bool(missing == 0)

    def on_rank_zero(self, action: Callable[[], T]) -> T:
        """Broadcasts the result of rank 0's call. If it fails, rank 0 raises the error and the others RemoteError."""
        if self.count == 1:
            return action()
        value: T | None = None
        error: Exception | None = None
        if self.is_zero:
            try:
                value = action()
            except Exception as raised:
                error = raised
        return cast(T, self._broadcast(value, error))

    @contextmanager
    def enter_on_rank_zero(self, open_block: Callable[[], AbstractContextManager[Any]]) -> Iterator[None]:
        """Opens a block that rank 0 enters for all ranks, such as a lock."""
        with ExitStack() as stack:

            def enter() -> None:
                stack.enter_context(open_block())

            self.on_rank_zero(enter)
            yield

    def rank_zero_first(self, work: Work[T]) -> Work[T]:
        """Runs work on rank 0 before the other ranks, which find its files."""
        if self.count == 1:
            return (yield from work)
        value: T | None = None
        error: Exception | None = None
        if self.is_zero:
            try:
                value = yield from work
            except Exception as raised:
                error = raised
        self._broadcast(None, error)
        return cast(T, value) if self.is_zero else finish(work)

    def raise_everywhere(self, error: KitError) -> KitError:
        """Returns the error to raise on this rank if all ranks raise the same one, which rank 0 prints."""
        return error if self.is_zero else _remote_error(error)

    def check_same(self, what: str, *numbers: int) -> None:
        """Raises RunError R14 if ranks see different numbers, for example because a folder is not shared."""
        numbers_by_rank = self.all_gather(numbers)
        if len(set(numbers_by_rank)) > 1:
            raise RunError(
                f"the ranks do not see the same {what}: "
                + ", ".join(f"rank {n} {number}" for n, number in enumerate(numbers_by_rank)),
                code="R14",
                hint="put the workspace, with runs/ and cache/, into a folder shared by all machines",
            )

    def shard_batches(self, rows: np.ndarray, size: int) -> np.ndarray:
        """Returns this rank's part of rows in batches of `size`: whole batches, the same as in a single process."""
        batches = -(-len(rows) // size)
        mine = np.array_split(np.arange(batches), self.count)[self.rank]
        return rows[mine[0] * size : (mine[-1] + 1) * size] if len(mine) else rows[:0]

    @contextmanager
    def communicate(self) -> Iterator[None]:
        """Opens a block that exchanges messages. Raises RankLostError R13, with the last error, if a rank is gone."""
        try:
            yield
        except RuntimeError as error:
            if any(text in str(error) for text in ("out of memory", *NCCL_OOM_TEXTS)):
                raise RunError(
                    f"out of memory while ranks exchange: {_plainly(error)}",
                    code="R02",
                    hint="a smaller micro_batch_size or network",
                ) from None
            failure = ""
            with suppress(RuntimeError):
                if self.store is not None and self.store.check([FAILURE_KEY]):
                    failure = self.store.get(FAILURE_KEY).decode()
            raise RankLostError(
                f"one of the {self.count} ranks has ended or does not respond: {failure or _plainly(error)}",
                code="R13",
                hint="run the same command again to resume from the last checkpoint",
            ) from None

    def _broadcast(self, value: Any, error: Exception | None) -> Any:
        """Returns rank 0's value, on all ranks.

        If rank 0 failed, all ranks raise, and rank 0's error has the reason.
        """
        sent = [value, None if error is None else _remote_error(error)]
        with self.communicate():
            dist.broadcast_object_list(sent, src=0)
        if error is not None:
            raise error
        if sent[1] is not None:
            raise sent[1]
        return sent[0]

    def _leave_error(self, error: BaseException) -> None:
        """Stores this rank's error for the others, and raises it with the rank's number before its message."""
        if self.store is None or isinstance(error, RemoteError | RankLostError):
            return
        text = (
            f"{error.code} {error.summary}"
            if isinstance(error, KitError)
            else f"{type(error).__name__} {error}"
        )
        with suppress(RuntimeError):
            self.store.set(FAILURE_KEY, f"rank {self.rank}: {text}"[:MAX_FAILURE_CHARACTERS])
        if isinstance(error, KitError) and not self.is_zero:
            raise error.replace(summary=f"rank {self.rank}: {error.summary}") from error


ALONE = Ranks()


class AsyncAllReduce:
    """A tensor in transit. After `wait` it holds the sum over all ranks, the same bits on each."""

    def __init__(self, ranks: Ranks, tensor: Tensor) -> None:
        self._ranks = ranks
        with ranks.communicate():
            self._work = dist.all_reduce(tensor, async_op=True)

    def wait(self) -> None:
        """Waits for the sum. On a GPU the queued work waits, and this process does not."""
        with self._ranks.communicate():
            assert self._work is not None
            self._work.wait()


def local_rank() -> int | None:
    """Returns this process's number on its machine, which is that of its GPU; None for a single process."""
    return int(os.environ.get("LOCAL_RANK", "0")) if _world_size() > 1 else None


def local_world_size() -> int:
    """Returns the number of ranks that share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if _world_size() > 1 else 1


def _world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def process_group() -> Iterator[Ranks]:
    """Opens a block in which the ranks started by torchrun exchange messages.

    It passes on the error that ends a rank.

    Raises RunError R13 if they do not find each other.
    """
    count = _world_size()
    if count == 1:
        yield ALONE
        return
    rank = int(os.environ.get("RANK", "0"))
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device((local_rank() or 0) % torch.cuda.device_count())
    try:
        store, rank, count = next(rendezvous("env://", timeout=RANK_TIMEOUT))
        own = PrefixStore("kit", store)
        dist.init_process_group(backend, store=own, rank=rank, world_size=count, timeout=RANK_TIMEOUT)
    except (RuntimeError, ValueError, StopIteration) as error:
        raise RunError(
            f"rank {rank} of {count} could not join the other ranks: {_plainly(error)}",
            code="R13",
            hint="use torchrun --nproc-per-node 2 -m kit train ..., or kit train --devices 2",
        ) from None
    ranks = Ranks(rank, count, store)
    try:
        yield ranks
    except BaseException as error:
        ranks._leave_error(error)
        raise
    finally:
        with suppress(RuntimeError):
            dist.destroy_process_group()


def _plainly(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _remote_error(error: Exception) -> RemoteError:
    return RemoteError(f"rank 0: {error}", error.exit_code if isinstance(error, KitError) else 1)
