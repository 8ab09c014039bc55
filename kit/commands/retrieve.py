"""`kit retrieve`: rows answered with the most similar training images."""

from __future__ import annotations

from dataclasses import asdict

import click

from kit.commands._console import echo, print_result, show_progress
from kit.commands._plugin_options import read_spec


@click.command()
@click.argument("members", nargs=-1, required=True, metavar="RUN[@VIEWS]...")
@click.option("--scorer", default="power", show_default=True, help="Scorer plugin, or JSON with options.")
@click.option(
    "--reranker",
    "rerankers",
    multiple=True,
    metavar="RERANKER",
    help="Reranker plugin, or JSON with options. kit tries all combinations of several and uses the best.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(members: tuple[str, ...], scorer: str, rerankers: tuple[str, ...], as_json: bool) -> None:
    """Predict rows from their nearest training images. The images are compared by the embeddings of `kit
    embed`.

    Held-out rows are compared with the rows that their fold was trained on. Test rows are compared with the
    training rows of each fold. `kit blend` takes the result like any other predictions.

    \b
    kit retrieve runs/r@hflip
    kit retrieve r s --scorer product
    kit retrieve r --scorer '{"name": "power", "k": 20}' --reranker query_expansion --reranker database_augmentation
    kit blend runs/r runs/r@plain-power
    """
    from kit.config.workspace import Workspace
    from kit.stages.retrieval.retrieve import retrieve

    specs = [read_spec(text, "--reranker") for text in rerankers]
    made = show_progress(
        retrieve.with_progress(Workspace.find("."), members, read_spec(scorer, "--scorer"), specs)
    )
    for line in (line for each in made for line in each.describe()):
        echo(line)
    echo(f"next: kit blend {' '.join(each.member for each in made)}")
    print_result([asdict(each) for each in made], [each.member for each in made], as_json)
