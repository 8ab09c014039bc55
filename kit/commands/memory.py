"""kit memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kit.commands._console import console, echo, print_json, show_progress

if TYPE_CHECKING:
    from rich.table import Table

    from kit.experiment.batch_size import StepMemory


@click.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--batch-size", "sizes", help="Images at a time, such as 8,16,32; by default the experiment's.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.png", help="Draw the table too."
)
@click.option("--json", "as_json", is_flag=True, help="Print all numbers, in bytes, as JSON.")
def command(overrides: tuple[str, ...], sizes: str | None, out: Path | None, as_json: bool) -> None:
    """Say what a training step holds in memory, by part and by block of the network, and what fits.

    Two small steps are watched tensor by tensor and extended to any size; a real step says what kernels take beside.

    \b
    kit memory
    kit memory --batch-size 8,16,32,64 --out memory.png
    kit memory backbone.arch=efficientnet_b0 image_size=256 --json
    """
    from kit.commands.train import parse_numbers
    from kit.config.workspace import Workspace
    from kit.device.memory import format_mebibytes
    from kit.experiment.batch_size import measure_config

    if out is not None and out.suffix.lower() != ".png":
        raise click.BadParameter(f"{str(out)!r} does not end in .png", param_hint="--out")
    asked = parse_numbers(sizes, "--batch-size") or []
    if any(size < 1 for size in asked):
        raise click.BadParameter("sizes are at least 1", param_hint="--batch-size")
    workspace = Workspace.find(".", overrides)
    found, precision, device = show_progress(
        measure_config.with_progress(workspace, asked[-1] if asked else None)
    )
    experiment = workspace.experiment
    network = experiment.backbone.get("arch") or experiment.backbone["name"]
    title = f"{network}, {precision.train} {precision.layout} on {device}"
    shown = sorted({*asked}) or [found.images]
    if out is not None:
        from kit.stages.figures.plots import draw_stacked_bars, write_figure

        parts = {size: found.parts(size) for size in shown}
        limit = found.held + found.room.free
        write_figure(
            out, draw_stacked_bars(parts, f"memory of a training step: {title}", "images at a time", limit)
        )
    if as_json:
        print_json(_as_json(found, title, shown))
        return
    click.echo(
        f"{title}: {format_mebibytes(found.room.free)} free beside {format_mebibytes(found.held)} that a learner holds"
    )
    console().print(_table(found, shown))
    blocks = found.footprint.activations(found.images)
    click.echo(
        f"activations of {found.images} images, by block: "
        + ", ".join(f"{name} {format_mebibytes(count)}" for name, count in blocks.items() if count >= 2**10)
    )
    if found.measured is not None:
        click.echo(
            f"a real step of {found.images} took {format_mebibytes(found.measured)}, of which kernels' own scratch "
            f"{format_mebibytes(found.scratch)}"
        )
    click.echo(f"largest that fits: {found.largest()} at a time, with a tenth of the free memory left")
    if out is not None:
        echo(f"drawn: {out}")


def _table(found: StepMemory, sizes: list[int]) -> Table:
    from rich.table import Table

    from kit.device.memory import format_mebibytes
    from kit.engine.memory_footprint import PARTS

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("images", "peak", *PARTS, "fits"):
        made.add_column(heading, justify="right", no_wrap=True)
    for size in sizes:
        parts = found.parts(size).values()
        fits = "yes" if found.fits(size) else "no"
        made.add_row(
            str(size), format_mebibytes(found.peak(size)), *(format_mebibytes(part) for part in parts), fits
        )
    return made


def _as_json(found: StepMemory, title: str, sizes: list[int]) -> dict[str, Any]:
    return {
        "network": title,
        "free": found.room.free,
        "held": found.held,
        "sizes": [
            {
                "images": size,
                "peak": found.peak(size),
                "parts": found.parts(size),
                "activations": found.footprint.activations(size),
                "fits": found.fits(size),
            }
            for size in sizes
        ],
        "measured": {"images": found.images, "peak": found.measured, "scratch": found.scratch},
        "largest": found.largest(),
    }
