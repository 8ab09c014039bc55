"""kit predict."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from kit.commands._console import show_progress

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("bundle", type=FOLDER)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--images", type=FOLDER, required=True, help="Folder of the test images.")
@click.option("--sample", type=FILE, required=True, help="Sample submission. Its rows are predicted.")
@click.option("--test", type=FILE, help="Test table, if the competition has one.")
@click.option(
    "--on-unreadable-test",
    type=click.Choice(["class_prior", "stop"]),
    default="class_prior",
    show_default=True,
    help="For unreadable images: use the class prior, or stop.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("submission.csv"),
    show_default=True,
    help="File of the submission.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=Path("kit-work"),
    show_default=True,
    help="Folder for decoded images and predictions.",
)
@click.option(
    "--time", "time_limit", metavar="DURATION", help="Time limit, such as 8h30m. Networks may be left out."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1.")
@click.option("--workers", type=int, help="Number of loader processes. By default kit decides.")
def command(
    bundle: Path,
    overrides: tuple[str, ...],
    images: Path,
    sample: Path,
    test: Path | None,
    on_unreadable_test: Literal["class_prior", "stop"],
    out: Path,
    work: Path,
    time_limit: str | None,
    device: str,
    workers: int | None,
) -> None:
    """Predict test images with a bundle and write the submission. `kit bundle` creates the bundle.

    It needs neither a workspace nor a network connection. A row with an unreadable image gets the class prior
    and is listed in WORK/quarantine.csv. Run the same command again to resume. KEY=VALUE changes a `data`
    key, `device` or `workers`.

    \b
    kit predict bundle --images data/images --sample data/sample_submission.csv
    kit predict bundle --images test --sample sample.csv --test test.csv --out submission.csv
    kit predict bundle --images test --sample sample.csv --on-unreadable-test stop
    kit predict bundle --images test --sample sample.csv data.max_pixels=500000000
    kit predict bundle --images test --sample sample.csv --time 8h30m
    """
    from kit.core.durations import parse_duration
    from kit.stages.bundles.predicting import predict_bundle
    from kit.stages.bundles.prediction import PredictionInput

    seconds = None if time_limit is None else parse_duration(time_limit)
    given = PredictionInput(images, sample, test, on_unreadable_test, overrides, seconds)
    loaders = "auto" if workers is None else workers
    click.echo(
        show_progress(predict_bundle.with_progress(bundle.resolve(), given, out, work, device, loaders))
    )
