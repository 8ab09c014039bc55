"""`kit cache`: lists the content of the cache of decoded images, and frees space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from kit.commands import _console

if TYPE_CHECKING:
    from kit.images.cache_usage import CacheFolder

JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@click.group()
def command() -> None:
    """List or prune the cache of decoded images.

    The cache can be deleted whenever no command runs. Missing images are decoded again. Set the environment
    variable KIT_CACHE to share one cache between workspaces.

    \b
    kit cache ls
    kit cache prune --dry-run
    kit cache prune --keep-bytes 10G
    """


@command.command()
@JSON
def ls(as_json: bool) -> None:
    """List cache folders with size, last use and their runs.

    \b
    kit cache ls
    """
    from kit.config.workspace import Workspace
    from kit.images.cache_usage import list_cache

    _show(list_cache(Workspace.find()), as_json)


@command.command()
@click.option(
    "--keep-bytes", metavar="SIZE", help="Keep this much of the most recently used, such as 500M or 10G."
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@JSON
def prune(keep_bytes: str | None, dry_run: bool, as_json: bool) -> None:
    """Remove folders that neither a run nor config.json needs. With --keep-bytes, remove the least recently
    used folders.

    Folders in use are kept. The exit status is 75 if a process is filling the cache.

    \b
    kit cache prune
    kit cache prune --dry-run
    kit cache prune --keep-bytes 10G
    """
    from kit.config.workspace import Workspace
    from kit.images.cache_usage import prune_cache as pruned

    folders = pruned(Workspace.find(), None if keep_bytes is None else parse_size(keep_bytes), dry_run)
    _show(folders, as_json)
    gone = [folder for folder in folders if folder.removed]
    does = "would be removed" if dry_run else "removed"
    total = format_size(sum(folder.bytes for folder in gone))
    _console.echo(f"{len(gone)} folder{'s' * (len(gone) != 1)} {does}, {total}")


def parse_size(text: str) -> int:
    """Returns `10G`, `1.5M` or `1000` as bytes."""
    number, unit = text.strip().upper().removesuffix("B").removesuffix("I"), ""
    if number and number[-1] in UNITS:
        number, unit = number[:-1], number[-1]
    try:
        size = float(number) * UNITS[unit]
        return int(size if size >= 0 else number)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is not a size such as 500M or 10G", param_hint="--keep-bytes"
        ) from None


def format_size(size: float) -> str:
    """Returns bytes in readable form."""
    unit = next((unit for unit in "TGMK" if size >= UNITS[unit]), "")
    return f"{size / UNITS[unit]:.1f} {unit}iB" if unit else f"{size:.0f} bytes"


def _show(folders: Sequence[CacheFolder], as_json: bool) -> None:
    if as_json:
        _console.print_json([asdict(folder) for folder in folders])
        return
    if not folders:
        _console.echo("the cache is empty")
        return
    from datetime import datetime

    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("folder", "images", "of the tables", "size", "last use", "needed by", ""):
        table.add_column(
            heading, justify="right" if heading in ("images", "of the tables", "size") else "left"
        )
    for folder in folders:
        when = datetime.fromtimestamp(folder.used).astimezone().strftime("%Y-%m-%d %H:%M")
        table.add_row(
            folder.name,
            "damaged" if folder.images is None else str(folder.images),
            "" if folder.current is None else str(folder.current),
            format_size(folder.bytes),
            when,
            " ".join(folder.needed_by) or "nothing",
            "removed" if folder.removed else folder.kept_because,
        )
    _console.console().print(table, markup=False)
