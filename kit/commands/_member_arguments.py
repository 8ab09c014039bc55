"""Arguments of commands that take members, `RUN[@VIEWS]... [KEY=VALUE]...`, and an option that some of them share."""

from __future__ import annotations

from collections.abc import Sequence

import click

GROUP = click.option(
    "--group",
    help="Column of the groups for z-scores and ranks. By default data.group, if both tables have it.",
)


def split_members(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the members, and the overrides of the config."""
    members = [text for text in arguments if "=" not in text]
    return members, [text for text in arguments if "=" in text]
