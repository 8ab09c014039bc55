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
    from kit.device.memory import format_mebibytes
    from kit.experiment.batch_size import measure_config

    if out is not None and out.suffix.lower() != ".png":
        raise click.BadParameter(f"{str(out)!r} does not end in .png", param_hint="--out")
    asked = parse_numbers(sizes, "--batch-size") or []
    if any(size < 1 for size in asked):
        raise click.BadParameter("each size must be at least 1", param_hint="--batch-size")
    workspace = Workspace.find(".", overrides)
    found, precision, device = show_progress(
        measure_config.with_progress(workspace, asked[-1] if asked else None)
    )
    experiment = workspace.experiment
    network = experiment.backbone.get("arch") or experiment.backbone["name"]
    title = f"{network}, {precision.train} {precision.memory_format} on {device}"
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
        f"{title}: {format_mebibytes(found.room.free)} free, {format_mebibytes(found.held)} used by "
        "weights, gradients and optimizer"
    )
    console().print(_table(found, shown))
    blocks = found.footprint.activations(found.images)
    click.echo(
        f"activations of {found.images} images, by block: "
        + ", ".join(f"{name} {format_mebibytes(count)}" for name, count in blocks.items() if count >= 2**10)
    )
    if found.measured is not None:
        click.echo(
            f"a real step of {found.images} images used {format_mebibytes(found.measured)}, of which "
            f"{format_mebibytes(found.scratch)} workspace of the kernels"
        )
    click.echo(
        f"largest batch that fits: {found.largest()} images at a time, with 10 % of the free memory left"
    )
    if out is not None:
        echo(f"plot: {out}")


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
