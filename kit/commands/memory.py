"""kit memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kit.commands._console import console, echo, print_json, show_progress

if TYPE_CHECKING:
    from rich.table import Table

    from kit.stages.profiling.step_memory import MemoryResult


@click.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--batch-size", "sizes", help="Numbers of images at a time, such as 8,16,32. By default the config's."
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.png", help="Also plot the table."
)
@click.option("--json", "as_json", is_flag=True, help="Print all numbers in bytes, as JSON.")
def command(overrides: tuple[str, ...], sizes: str | None, out: Path | None, as_json: bool) -> None:
    """Measure a training step's memory, and the batch that fits. The table shows each part of the step, and
    each block of the network.

    The tensors of two small steps are recorded and extrapolated to any batch size. One real step measures the
    extra memory of the kernels.

    \b
    kit memory
    kit memory --batch-size 8,16,32,64 --out memory.png
    kit memory backbone.arch=efficientnet_b0 image_size=256 --json
    """
    from kit.commands.train import parse_numbers
    from kit.config.workspace import Workspace
    from kit.stages.profiling.step_memory import measure_memory

    if out is not None and out.suffix.lower() != ".png":
        raise click.BadParameter(f"{str(out)!r} does not end in .png", param_hint="--out")
    batch_sizes = parse_numbers(sizes, "--batch-size") or []
    if any(size < 1 for size in batch_sizes):
        raise click.BadParameter("each size must be at least 1", param_hint="--batch-size")
    result = show_progress(measure_memory.with_progress(Workspace.find(".", overrides), batch_sizes, out))
    if as_json:
        print_json(result.as_json())
        return
    click.echo(result.describe_free())
    console().print(_table(result))
    for line in result.describe():
        click.echo(line)
    if out is not None:
        echo(f"plot: {out}")


def _table(result: MemoryResult) -> Table:
    from rich.table import Table

    from kit.device.memory import format_mebibytes
    from kit.engine.memory_footprint import PARTS

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("images", "peak", *PARTS, "fits"):
        table.add_column(heading, justify="right", no_wrap=True)
    for size in result.sizes:
        parts = [format_mebibytes(part) for part in result.step.parts(size).values()]
        fits = "yes" if result.step.fits(size) else "no"
        table.add_row(str(size), format_mebibytes(result.step.peak(size)), *parts, fits)
    return table
