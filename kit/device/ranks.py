"""ranks: the processes that train one model together, as torchrun or `kit train --devices` starts them.

One process alone is rank 0 of 1: then nothing here talks to anybody. After each step all ranks hold the same weights,
average, optimizer and buffers, to the bit. Only the first writes. Nothing that ranks do together begins before all
say that they are ready for it, so that one which cannot go on, for want of memory, leaves none of them waiting.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
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
# how long a rank waits for the others; one that has ended is noticed at once, by its closed connection
RANK_TIMEOUT = timedelta(minutes=30)
FAILURE_KEY, MAX_FAILURE_CHARACTERS = "last words", 500


class RemoteError(KitError):
    """What stopped the first rank, which has said so itself; the others leave with the same exit status."""

    def __init__(self, summary: str, exit_code: int = 1) -> None:
        super().__init__(summary)
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.summary, self.exit_code)


def raise_on_all_ranks(error: KitError) -> KitError:
    """What all ranks raise alike; the first one alone says it."""
    return error if is_rank_zero() else _remote_error(error)


@dataclass(frozen=True)
class _Group:
    """This process's place among the ranks, and where they leave word."""

    rank: int
    count: int
    local: int
    beside: int
    store: Store


_group: _Group | None = None  # none: this process trains alone


def world_size() -> int:
    """How many ranks train together."""
    return 1 if _group is None else _group.count


def rank() -> int:
    """This process's own number, from 0."""
    return 0 if _group is None else _group.rank


def local_rank() -> int | None:
    """This process's number on its machine, which is that of its GPU; None where it is alone."""
    return None if _group is None else _group.local


def local_world_size() -> int:
    """How many ranks share this machine."""
    return 1 if _group is None else _group.beside


def is_rank_zero() -> bool:
    """Whether this is the one that writes and speaks."""
    return rank() == 0


@contextmanager
def process_group() -> Iterator[None]:
    """A block in which the ranks that torchrun started know each other; what ends one of them is told to the others.

    Raises RunError R13 where they do not find each other.
    """
    global _group
    number, size = (
        int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"))
    )
    if size == 1 or _group is not None:
        yield
        return
    local, near = (int(os.environ.get(name, "1")) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(local % torch.cuda.device_count())
    try:
        store, number, size = next(rendezvous("env://", timeout=RANK_TIMEOUT))
        own = PrefixStore("kit", store)
        dist.init_process_group(backend, store=own, rank=number, world_size=size, timeout=RANK_TIMEOUT)
    except (RuntimeError, ValueError, StopIteration) as error:
        raise RunError(
            f"rank {number} of {size} found no others: {_plainly(error)}", code="R13",
            hint="torchrun --nproc-per-node 2 -m kit train ..., or kit train --devices 2",
        ) from None  # fmt: skip
    _group = _Group(number, size, local, near, store)
    try:
        yield
    except BaseException as error:
        _tell(error)
        raise
    finally:
        _group = None
        with suppress(RuntimeError):
            dist.destroy_process_group()


@contextmanager
def outside_group() -> Iterator[None]:
    """A block in which this rank measures something by itself, and the others do not wait for it."""
    global _group
    before = _group
    _group = None if before is None else replace(before, rank=0, count=1)
    try:
        yield
    finally:
        _group = before


def _tell(error: BaseException) -> None:
    """Leaves word of what ended this rank, and puts its number before its message."""
    assert _group is not None
    if isinstance(error, RemoteError | RankLostError):
        return
    said = (
        f"{error.code} {error.summary}" if isinstance(error, KitError) else f"{type(error).__name__} {error}"
    )
    with suppress(RuntimeError):
        _group.store.set(FAILURE_KEY, f"rank {rank()}: {said}"[:MAX_FAILURE_CHARACTERS])
    if isinstance(error, KitError) and not is_rank_zero():
        error.summary = f"rank {rank()}: {error.summary}"


class RankLostError(RunError):
    """Another rank has ended, or does not answer."""


def _plainly(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


@contextmanager
def _communicate() -> Iterator[None]:
    """A block that talks to the others. Raises RankLostError R13, with their last words, where one of them is gone."""
    assert _group is not None, "ranks.joined() is not entered"
    try:
        yield
    except RuntimeError as error:
        words = ""
        with suppress(RuntimeError):
            if _group.store.check([FAILURE_KEY]):
                words = _group.store.get(FAILURE_KEY).decode()
        raise RankLostError(
            f"one of the {world_size()} ranks has ended or does not answer: {words or _plainly(error)}", code="R13",
            hint="the same command again, which goes on from the last checkpoint",
        ) from None  # fmt: skip


def all_reduce_max(number: int) -> int:
    """The highest of all ranks' numbers."""
    if world_size() == 1:
        return number
    told = torch.tensor([number], dtype=torch.int64)
    with _communicate():
        dist.all_reduce(told, dist.ReduceOp.MAX)
    return int(told)


def all_reduce_min(number: int) -> int:
    """The lowest of all ranks' numbers."""
    return -all_reduce_max(-number)


def all_gather(value: T) -> list[T]:
    """Every rank's value, by rank; on all of them. Values are sent pickled, between processes of one command."""
    if world_size() == 1:
        return [value]
    found: list[Any] = [None] * world_size()
    with _communicate():
        dist.all_gather_object(found, value)
    return cast(list[T], found)


def on_rank_zero(action: Callable[[], T]) -> T:
    """What the first rank's call gives, on all ranks; the others wait. Raises RemoteError there for what it raises."""
    if world_size() == 1:
        return action()
    made: T | None = None
    failed: Exception | None = None
    if is_rank_zero():
        try:
            made = action()
        except Exception as error:
            failed = error
    return cast(T, _from_first(made, failed))


def rank_zero_first(work: Callable[[], Work[T]]) -> Work[T]:
    """Work that the first rank does before all others, which find on the disk what it wrote."""
    if world_size() == 1:
        return (yield from work())
    made: T | None = None
    failed: Exception | None = None
    if is_rank_zero():
        try:
            made = yield from work()
        except Exception as error:
            failed = error
    _from_first(None, failed)
    return cast(T, made) if is_rank_zero() else finish(work())


def _from_first(value: Any, failed: Exception | None) -> Any:
    """The first rank's value, on all ranks; where its work failed, all raise, it alone with the reason."""
    told = [value, None if failed is None else _remote_error(failed)]
    with _communicate():
        dist.broadcast_object_list(told, src=0)
    if failed is not None:
        raise failed
    if told[1] is not None:
        raise told[1]
    return told[0]


def _remote_error(error: Exception) -> RemoteError:
    return RemoteError(f"rank 0: {error}", error.exit_code if isinstance(error, KitError) else 1)


class AsyncAllReduce:
    """A tensor on its way: once it has arrived, it holds the sum over all ranks, the same bits on each."""

    def __init__(self, tensor: Tensor) -> None:
        with _communicate():
            self._work = dist.all_reduce(tensor, async_op=True)

    def wait(self) -> None:
        """Waits for it; on a GPU what is queued there waits, and this process does not."""
        with _communicate():
            assert self._work is not None
            self._work.wait()


@torch.no_grad()
def all_reduce(sums: Sequence[Tensor], means: Sequence[Tensor] = ()) -> None:
    """Puts the sum over all ranks, or the mean, in each tensor's place, in one message; alone, they stay."""
    tensors = [*sums, *means]
    if world_size() == 1 or not tensors:
        return
    sent = torch.cat([one.reshape(-1).float() for one in tensors])
    AsyncAllReduce(sent).wait()
    sent[sum(tensor.numel() for tensor in sums) :] /= world_size()
    parts = sent.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view(tensor.shape))


def check_same_start(what: str, *numbers: int) -> None:
    """Raises RunError R14 where ranks do not begin from the same point, as where a folder is not shared."""
    found = all_gather(numbers)
    if len(set(found)) > 1:
        raise RunError(
            f"the ranks do not see the same {what}: " + ", ".join(f"rank {n} {one}" for n, one in enumerate(found)),
            code="R14", hint="a workspace on a folder that all machines share, runs/ and cache/ included",
        )  # fmt: skip


def shard_batches(rows: np.ndarray, size: int) -> np.ndarray:
    """This rank's part of rows in batches of `size`: whole batches, each as one process alone would see it."""
    batches = -(-len(rows) // size)
    mine = np.array_split(np.arange(batches), world_size())[rank()]
    return rows[mine[0] * size : (mine[-1] + 1) * size] if len(mine) else rows[:0]
