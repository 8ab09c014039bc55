"""How a command runs as one of several ranks: the first speaks, the others say what ends them alone."""

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
    """As how many ranks torchrun, or --devices, has started this command."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def relaunch(devices: int | None, arguments: Sequence[str]) -> None:
    """Runs the command once a device, and exits as it does, where it is to be spread and is not yet."""
    if devices is None or devices == rank_count():
        return
    if rank_count() > 1:
        raise click.UsageError(f"--devices {devices} does not match the {rank_count()} ranks: omit --devices")
    from kit.device.launch import launch

    raise click.exceptions.Exit(launch(arguments, devices))


@contextmanager
def in_group() -> Iterator[Ranks | None]:
    """A block that ranks run together, of which only rank 0 prints; None for a process by itself, without torch."""
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
    """What rank 0's call gives, on all ranks; alone, the call itself, without torch."""
    return action() if ranks is None else ranks.on_rank_zero(action)
