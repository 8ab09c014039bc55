"""`kit stack`: boosted trees on members' probabilities and columns, as a run to blend."""

from __future__ import annotations

import click

from kit.commands import _console
from kit.commands._member_arguments import GROUP, split_members


@click.command()
@click.argument("members", nargs=-1, required=True, metavar="RUN[@VIEWS]... [KEY=VALUE]...")
@click.option("--as", "name", required=True, metavar="NAME", help="Name of the run.")
@click.option(
    "--model",
    default="scikit-learn",
    show_default=True,
    help="Library of the trees: scikit-learn, lightgbm, xgboost or catboost.",
)
@GROUP
@click.option(
    "--seeds", type=click.IntRange(1), default=1, show_default=True, help="Number of models to average."
)
@click.option("--options", metavar="JSON", help="Options of the library.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    members: tuple[str, ...],
    name: str,
    model: str,
    group: str | None,
    seeds: int,
    options: str | None,
    as_json: bool,
) -> None:
    """Fit boosted trees to out-of-fold probabilities and columns of the tables.

    The trees see each member's probabilities, the columns of data.columns, and each number's z-score and rank within
    its group, such as a patient. They are cross-fitted: the trees that predict a row have not seen its fold. The result
    is a run for `kit blend`.

    \b
    kit stack runs/r@d4 runs/s --as trees data.columns=["age","site"]
    kit stack runs/r --as trees --model lightgbm --group patient_id --seeds 5
    kit stack runs/r --as trees --options '{"max_iter": 400, "learning_rate": 0.02}'
    """
    from dataclasses import asdict

    from kit.config.workspace import Workspace
    from kit.stages.second_level.stack import stack
    from kit.stages.second_level.trees import read_options

    runs, overrides = split_members(members)
    workspace = Workspace.find(".", overrides)
    work = stack.with_progress(workspace, runs, name, model, group, seeds, read_options(options))
    result = _console.show_progress(work)
    for line in result.describe():
        _console.echo(line)
    _console.echo(f"next: kit blend {' '.join(runs)} {result.member}")
    _console.print_result(asdict(result), [result.member], as_json)
