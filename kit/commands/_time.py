"""The option --time, which ends a command before a notebook's session does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kit.core.stopping import Deadline

TIME = click.option(
    "--time",
    "duration",
    metavar="TIME",
    help="Stop and save before this time is over, such as 8h30m. The exit status is 6 then.",
)


def parse_time(text: str | None) -> Deadline | None:
    """Returns the deadline of --time, counted from now; None without the option. Raises ConfigError C05."""
    from kit.core.durations import parse_duration
    from kit.core.stopping import Deadline

    return None if text is None else Deadline(parse_duration(text))
