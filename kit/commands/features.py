"""`kit features`: writes the table for a second level in a notebook."""

from __future__ import annotations

from pathlib import Path

import click

from kit.commands import _console
from kit.commands._member_arguments import GROUP, split_members


@click.command()
@click.argument("members", nargs=-1, required=True, metavar="RUN[@VIEWS]... [KEY=VALUE]...")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="File of the training rows, .csv or .parquet.",
)
@GROUP
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(members: tuple[str, ...], out: Path, group: str | None, as_json: bool) -> None:
    """Write out-of-fold probabilities, columns and group statistics as a table.

    The table has id, fold, target, one column per member and class, and the columns of data.columns. Each number
    also has its z-score and rank within the group. The test rows go into a second file, NAME-test. `kit runs import`
    reads the predictions that a notebook makes from the tables.

    \b
    kit features runs/r@d4 runs/s --out features.parquet
    kit features runs/r --out features.csv data.columns=["age","site"] --group patient_id
    """
    from dataclasses import asdict

    from kit.config.workspace import Workspace
    from kit.stages.second_level.features import write_features

    runs, overrides = split_members(members)
    workspace = Workspace.find(".", overrides)
    result = _console.show_progress(write_features.with_progress(workspace, runs, out, group))
    for line in result.describe():
        _console.echo(line)
    paths = [path for path in (result.train, result.test) if path is not None]
    _console.print_result(asdict(result), paths, as_json)
