"""kit soup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kit.commands._console import echo, print_json, show_progress

if TYPE_CHECKING:
    from kit.stages.training.soup import SoupResult


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--name", required=True, help="Name of the new run.")
@click.option(
    "--greedy",
    is_flag=True,
    help="Average only runs that improve the score. They are chosen for each fold on the other folds' rows.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(runs: tuple[str, ...], name: str, greedy: bool, as_json: bool) -> None:
    """Average the weights of several runs into one run. The soup predicts at the cost of one run.

    The runs need the same network, sizes and folds. Averaging works for runs fine-tuned from the same
    weights. It rarely works for runs from different random weights, and the scores show this.

    \b
    kit soup runs/r-seed0 runs/r-seed1 runs/r-seed2 --name r-soup
    kit soup runs/ft-* --name ft-soup --greedy
    kit tta --checkpoints runs/r-soup --views hflip
    """
    from kit.config.workspace import Workspace
    from kit.stages.training.soup import make_soup

    result = show_progress(make_soup.with_progress(Workspace.find("."), runs, name, greedy))
    _say(result)
    if as_json:
        chosen = {str(fold): list(names) for fold, names in result.ingredients.items()}
        print_json(
            {"run": f"runs/{name}", "scores": result.scores, "members": result.members, "ingredients": chosen}
        )
    else:
        click.echo(f"runs/{name}")


def _say(result: SoupResult) -> None:
    """Prints the soup's scores under its members', and a note if it is worse than the best of them."""
    for line in result.describe():
        echo(line if line.startswith("the soup") else f"  {line}")
    echo(f"next: kit tta --checkpoints {result.member} --views hflip")
