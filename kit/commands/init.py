"""`kit init`: writes config.json from the files it finds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from kit.commands import _console

if TYPE_CHECKING:
    from kit.kinds import Format
    from kit.stages.discovery.initialise import InitResult
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
    help="Fine-tune from this file of weights, or from a folder with one. It shows the network.",
)
@click.option("--network", metavar="NAME", help="The network's name in timm, if the file does not show it.")
@click.option(
    "--time",
    "duration",
    metavar="TIME",
    help="Fit epochs and image size to this time per network, such as 20m or 1h30m.",
)
@click.option("--train", help="CSV of labelled rows, or a folder with one subfolder per class.")
@click.option("--test", help="CSV of rows to predict. By default the sample's ids.")
@click.option("--sample", help="The sample submission.")
@click.option("--id", help="Column of the row ids.")
@click.option("--label", help="Column of the label, or a pattern such as {file}_{gender}.")
@click.option("--label-separator", help="Separator between the labels of one row.")
@click.option("--images", help="Path of a row's image, such as images/{id}.")
@click.option("--test-images", help="The same for test rows.")
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
    **given: str | None,
) -> None:
    """Write config.json from the files in a competition's folder.

    \b
    kit init
    kit init --data /kaggle/input/my-competition
    kit init ~/competition --recipe scratch
    kit init --label species --group site
    kit init --val holdout
    kit init --weights weights.safetensors --time 20m
    """
    from pathlib import Path

    from kit.core.durations import parse_duration
    from kit.stages.discovery.initialise import initialise

    asked = {key: value for key, value in given.items() if value is not None}
    seconds = parse_duration(duration) if duration else None
    made = initialise(
        Path(folder).resolve(), recipe, asked, force, val, metric, weights, network, seconds, source
    )
    for line in made.findings:
        _console.echo(line)
    _console.echo(f"recipe: {made.recipe} ({made.why})")
    counts, shape = read_tables(made)
    _console.echo(f"wrote {made.path}")
    if as_json:
        _console.print_json(
            {
                "config": made.path,
                "recipe": made.recipe,
                "findings": made.findings,
                "metric": made.metric,
                "format": shape,
                **counts,
            }
        )


def read_tables(
    made: InitResult, say: Callable[[str], None] = _console.echo
) -> tuple[dict[str, int], str | None]:
    """Counts and the submission's format, of the tables as the config has them.

    Faults of the data are printed. They are no reason to take the config back.
    """
    from kit.commands._decision import say_decision
    from kit.config.workspace import Workspace
    from kit.data.table import sample_frame, test_table, train_table
    from kit.errors import KitError
    from kit.experiment.sample_format import choose_format, find_written_class

    workspace = Workspace.open(made.path.parent)
    data, counts, shape = workspace.competition.data, dict[str, int](), None
    try:
        train = train_table(workspace.root, data)
        counts = {"rows": len(train), "classes": len(train.classes)}
        if train.groups is not None:
            counts["groups"] = len(set(train.groups))
        if data.has_test_rows:
            counts["test_rows"] = len(test_table(workspace, data, train.classes))
        if data.sample:
            sample = sample_frame(workspace.root, data)
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                chosen = choose_format(workspace, sample, train.classes, labels=train.label_kind)
            shape = chosen.plugin_name()
            _say_format(
                say,
                chosen,
                find_written_class(chosen, sample, train.classes),
                [str(one.message) for one in said],
            )
    except KitError as error:
        say(f"the data is not usable yet: {error}")
    else:
        say_decision(workspace, say)
    if counts:
        say(", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items()))
    return counts, shape


def _say_format(say: Callable[[str], None], shape: Format, positive: str | None, warned: list[str]) -> None:
    """Prints the format with its reason, which is a warning if the sample shows none, and all other warnings."""
    reasons = [text for text in warned if text.startswith(("W11", "W16"))]
    for text in warned:
        if text not in reasons:
            say(text)
    of = "" if positive is None else f" of {positive!r}, else format=binary_probability format.positive=CLASS"
    say(f"format: {shape.plugin_name()}{of} ({reasons[0] if reasons else 'the sample shows it'})")
