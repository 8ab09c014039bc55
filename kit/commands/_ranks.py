"""How a command runs as one of several ranks: the first speaks, the others say what ends them alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TypeVar

import click

T = TypeVar("T")


def rank_count() -> int:
    """As how many ranks torchrun, or --devices, has started this command."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def relaunch(devices: int | None, arguments: Sequence[str]) -> None:
    """Runs the command once a device, and exits as it does, where it is to be spread and is not yet."""
    if devices is None or devices == rank_count():
        return
    if rank_count() > 1:
        raise click.UsageError(
            f"--devices {devices}, and there are {rank_count()} ranks: leave --devices out"
        )
    from kit.device.launch import launch

    raise click.exceptions.Exit(launch(arguments, devices))


@contextmanager
def in_group() -> Iterator[None]:
    """A block that ranks run together, of which the first alone speaks."""
    if rank_count() == 1:
        yield
        return
    from kit.device import ranks

    try:
        with ranks.process_group(), ExitStack() as stack:
            if not ranks.is_rank_zero():
                silence = stack.enter_context(Path(os.devnull).open("w"))
                stack.enter_context(redirect_stdout(silence))
                stack.enter_context(redirect_stderr(silence))
            yield
    except ranks.RemoteError as error:
        raise click.exceptions.Exit(error.exit_code) from None


def on_rank_zero(action: Callable[[], T]) -> T:
    """What the first rank's call gives, on all ranks; alone, the call itself, without torch."""
    if rank_count() == 1:
        return action()
    from kit.device import ranks

    return ranks.on_rank_zero(action)
