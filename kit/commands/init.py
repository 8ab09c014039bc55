"""`kit init`: writes config.json from the files it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kit.commands import _console

if TYPE_CHECKING:
    from kit.stages.discovery.trees import ValUse


@click.command()
@click.argument("folder", default=".", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--data",
    "source",
    type=click.Path(exists=True, file_okay=False),
    help="Folder of the competition's files, if it is not FOLDER. kit only reads it.",
)
@click.option(
    "--recipe",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "scratch", "finetune"]),
    help="Start from scratch or fine-tune. auto fine-tunes if pretrained weights are available.",
)
@click.option(
    "--weights",
    type=click.Path(exists=True),
    help="Fine-tune from this file of weights, or from a folder with one. kit finds the network.",
)
@click.option("--network", metavar="NAME", help="The network's name in timm, if the file does not show it.")
@click.option(
    "--time",
    "duration",
    metavar="TIME",
    help="Fit epochs and image size to this time per network, such as 20m or 1h30m.",
)
@click.option(
    "--train",
    help="Labelled rows: a CSV, a JSON, several of them with commas between, or a folder with one subfolder per "
    "class.",
)
@click.option(
    "--join",
    metavar="FILE",
    multiple=True,
    help="Table with more columns of the rows, such as labels. Can be repeated.",
)
@click.option(
    "--on",
    metavar="COLUMN",
    multiple=True,
    help="Column with the keys of each joined table. COLUMN=OTHER if the joined table calls it OTHER.",
)
@click.option(
    "--label-from-name",
    metavar="REGEX",
    help="Regular expression for image paths. Its group is the label, such as '(cat|dog)'.",
)
@click.option("--test", help="CSV of rows to predict. By default the sample's ids.")
@click.option("--sample", help="The sample submission.")
@click.option("--id", help="Column of the row ids.")
@click.option("--label", help="Column of the label, or a pattern such as {file}_{gender}.")
@click.option("--label-separator", help="Separator between the labels of one row.")
@click.option(
    "--target",
    type=click.Choice(["classes", "numbers", "shares"]),
    help="Type of the labels: classes, numbers, or shares such as votes.",
)
@click.option("--images", help="Path of a row's image, such as images/{id}.")
@click.option("--test-images", help="The same for test rows.")
@click.option("--answer", help="Column of the sample's ids, if several images share an answer.")
@click.option("--group", help="Column of groups. Rows of one group share a fold.")
@click.option("--classes", "class_list", help="CSV whose first column lists the classes.")
@click.option(
    "--val",
    default="join",
    show_default=True,
    type=click.Choice(["join", "holdout", "ignore"]),
    help="How to use a validation folder beside the training folder.",
)
@click.option(
    "--metric",
    help="Metric of the competition, such as 'cohen_kappa weights=quadratic' or QWK (kit plugins metric). By "
    "default kit infers it from the sample.",
)
@click.option("--sep", help="Field separator of the CSVs. By default detected per file.")
@click.option("--encoding", help="Encoding of the CSVs. By default detected per file.")
@click.option("--force", is_flag=True, help="Overwrite an existing config.json.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    folder: str,
    source: str | None,
    recipe: str,
    weights: str | None,
    network: str | None,
    duration: str | None,
    val: ValUse,
    metric: str | None,
    force: bool,
    as_json: bool,
    join: tuple[str, ...],
    on: tuple[str, ...],
    **given: str | None,
) -> None:
    """Write config.json from the files in a competition's folder.

    \b
    kit init
    kit init --data /kaggle/input/my-competition
    kit init ~/competition --recipe scratch
    kit init --label species --group site
    kit init --join labels.csv --on patient_id
    kit init --join visits.csv --on visit --join labels.csv --on patient=patient_id
    kit init --label-from-name '(cat|dog)'
    kit init --val holdout
    kit init --weights weights.safetensors --time 20m
    """
    from pathlib import Path

    from kit.core.durations import parse_duration
    from kit.stages.discovery.described_tables import describe_tables
    from kit.stages.discovery.initialise import initialise

    several = {"join": ",".join(join) or None, "on": ",".join(on) or None}
    options = {key: value for key, value in {**given, **several}.items() if value is not None}
    seconds = parse_duration(duration) if duration else None
    result = initialise(
        Path(folder).resolve(), recipe, options, force, val, metric, weights, network, seconds, source
    )
    for line in result.findings:
        _console.echo(line)
    _console.echo(f"recipe: {result.recipe} ({result.why})")
    tables = describe_tables(result.path.parent)
    for line in tables.lines:
        _console.echo(line)
    _console.echo(f"wrote {result.path}")
    if as_json:
        _console.print_json(
            {
                "config": result.path,
                "recipe": result.recipe,
                "findings": result.findings,
                "metric": result.metric,
                "format": tables.format,
                **tables.counts,
            }
        )
