"""`kit boxes`: the region of each image that a run's Grad-CAM map highlights."""

from __future__ import annotations

from dataclasses import asdict

import click

from kit.commands._console import echo, print_result, show_progress


@click.command()
@click.argument("run")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--out", default="boxes.csv", show_default=True, metavar="FILE", help="The CSV to write.")
@click.option(
    "--threshold",
    type=float,
    default=0.15,
    show_default=True,
    help="Share of a Grad-CAM map's maximum that belongs to the box. Higher values make smaller boxes.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    run: str, overrides: tuple[str, ...], out: str, threshold: float, device: str, as_json: bool
) -> None:
    """Write a box per image from a run's Grad-CAM map. A second run then trains on the crops.

    The box holds the largest region of the Grad-CAM map. Each training row has the map of the network that was not
    trained on it. `data.box` names the file, and `data.box_margin` adds a margin.

    \b
    kit boxes runs/r
    kit train --name cropped data.box=boxes.csv data.box_margin=0.1
    kit boxes runs/r --threshold 0.3 --out small.csv
    """
    from kit.config.workspace import Workspace
    from kit.stages.prediction.boxes import boxes

    result = show_progress(boxes.with_progress(Workspace.find(".", overrides), run, out, threshold, device))
    echo(repr(result))
    echo(f"next: kit train --name cropped data.box={out} data.box_margin=0.1")
    print_result([{**asdict(result), "file": str(result.file)}], [str(result.file)], as_json)
