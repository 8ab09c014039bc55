"""`kit retrieve`: predicts rows from the most similar training images."""

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
@click.option("--within", type=click.Choice(["test"]), help="Answer test rows with similar test rows.")
@click.option("--index", metavar="FILE", help="Answer test rows with similar images of this CSV.")
@click.option(
    "--answer",
    type=click.Choice(["ranking", "set"]),
    help="Form of an answer: a ranked list of images, or all above a threshold. Default: set with --within, "
    "ranking with --index.",
)
@click.option(
    "--at-least",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Minimum number of images in a set.",
)
@click.option(
    "--at-most",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Maximum number of images in an answer.",
)
@click.option(
    "--threshold", type=float, help="Minimum cosine of images in a set. Default: fitted on held-out rows."
)
@click.option("--pca", type=click.IntRange(1), metavar="N", help="Reduce joined embeddings to N components.")
@click.option("--whiten", is_flag=True, help="Give each component of --pca the same variance.")
@click.option("--name", help="Name of the submission of images.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    members: tuple[str, ...],
    scorer: str,
    rerankers: tuple[str, ...],
    within: str | None,
    index: str | None,
    answer: str | None,
    at_least: int,
    at_most: int,
    threshold: float | None,
    pca: int | None,
    whiten: bool,
    name: str | None,
    as_json: bool,
) -> None:
    """Predict rows from their nearest training images. The images are compared by the embeddings of `kit
    embed`.

    Held-out rows are compared with the rows that their fold was trained on. Test rows are compared with the
    training rows of each fold. `kit blend` takes the result like any other predictions.

    With --within or --index the answers are images, and kit writes a submission. The embeddings of several runs
    are joined.

    \b
    kit retrieve runs/r@hflip
    kit retrieve r s --scorer product
    kit retrieve r --scorer '{"name": "power", "k": 20}' --reranker query_expansion --reranker database_augmentation
    kit blend runs/r runs/r@plain-power
    kit retrieve r s --within test --at-least 2 --at-most 50
    kit retrieve r@hflip --index index.csv --pca 256 --whiten
    """
    from kit.config.workspace import Workspace
    from kit.stages.retrieval.retrieve import retrieve
    from kit.stages.retrieval.retrieve_images import open_question, retrieve_images

    specs = [read_spec(text, "--reranker") for text in rerankers]
    question = open_question(within, index, answer, at_least, at_most, threshold, pca, whiten, specs)
    if question is not None:
        result = show_progress(retrieve_images.with_progress(Workspace.find("."), members, question, name))
        echo(repr(result))
        paths = [] if result.path is None else [str(result.path)]
        print_result({**asdict(result), "path": next(iter(paths), None)}, paths, as_json)
        return
    results = show_progress(
        retrieve.with_progress(Workspace.find("."), members, read_spec(scorer, "--scorer"), specs)
    )
    for line in (line for each in results for line in each.describe()):
        echo(line)
    echo(f"next: kit blend {' '.join(each.member for each in results)}")
    print_result([asdict(each) for each in results], [each.member for each in results], as_json)
