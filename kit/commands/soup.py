"""kit soup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kit.commands._console import echo, print_json, show_progress

if TYPE_CHECKING:
    from kit.stages.training.soup import SoupResult


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--name", required=True, help="The name of the run that the soup becomes.")
@click.option(
    "--greedy", is_flag=True, help="Keep the runs that help, chosen for each fold on the others' rows."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(runs: tuple[str, ...], name: str, greedy: bool, as_json: bool) -> None:
    """Average the weights of several runs, fold by fold, into one run that predicts at the price of one.

    The runs share network, sizes and folds. Runs that went on from the same weights mix well; runs from other random
    weights do not, and the scores say so.

    \b
    kit soup runs/r-seed0 runs/r-seed1 runs/r-seed2 --name r-soup
    kit soup runs/ft-* --name ft-soup --greedy
    kit tta --checkpoints runs/r-soup --views hflip
    """
    from kit.config.workspace import Workspace
    from kit.stages.training.soup import make_soup

    made = show_progress(make_soup.with_progress(Workspace.find("."), runs, name, greedy))
    _say(made)
    if as_json:
        chosen = {str(fold): list(names) for fold, names in made.ingredients.items()}
        print_json(
            {"run": f"runs/{name}", "scores": made.scores, "members": made.members, "ingredients": chosen}
        )
    else:
        click.echo(f"runs/{name}")


def _say(made: SoupResult) -> None:
    """The soup's scores under its members', and a word where it is worse than the best of them."""
    for name, scores in {**made.members, made.run.name: made.scores}.items():
        echo(f"  {name}: " + "  ".join(f"{key} {value:.4f}" for key, value in scores.items()))
    if made.is_worse:
        echo(
            "the soup is worse than its best run: weights that were not begun alike rarely mix; kit blend averages"
            " predictions instead"
        )
    echo(f"next: kit tta --checkpoints runs/{made.run.name} --views hflip")
