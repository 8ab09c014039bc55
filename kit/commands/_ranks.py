"""Runs a command as one of several ranks: the first prints, the others print only the error that ends them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from kit.device.ranks import Ranks

T = TypeVar("T")


def rank_count() -> int:
    """Returns the number of ranks that torchrun, or --devices, has started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def relaunch(devices: int | None, arguments: Sequence[str]) -> None:
    """Runs the command once per device, and exits with its status, if it has to be distributed and is not yet."""
    if devices is None or devices == rank_count():
        return
    if rank_count() > 1:
        raise click.UsageError(f"--devices {devices} does not match the {rank_count()} ranks: omit --devices")
    from kit.device.launch import launch

    raise click.exceptions.Exit(launch(arguments, devices))


@contextmanager
def in_group() -> Iterator[Ranks | None]:
    """Opens a block that ranks run together, of which only rank 0 prints; None for a single process, without torch."""
    if rank_count() == 1:
        yield None
        return
    from kit.device.ranks import RemoteError, process_group

    try:
        with process_group() as ranks, ExitStack() as stack:
            if not ranks.is_zero:
                silence = stack.enter_context(Path(os.devnull).open("w"))
                stack.enter_context(redirect_stdout(silence))
                stack.enter_context(redirect_stderr(silence))
            yield ranks
    except RemoteError as error:
        raise click.exceptions.Exit(error.exit_code) from None


def on_rank_zero(ranks: Ranks | None, action: Callable[[], T]) -> T:
    """Returns the result of rank 0's call, on all ranks; for a single process that of the call itself,
    without torch.
    """
    return action() if ranks is None else ranks.on_rank_zero(action)
