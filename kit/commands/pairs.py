"""`kit pairs`: predicts if two images show the same class."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from kit.commands._console import echo, print_json, show_progress


@click.command()
@click.argument("member", metavar="RUN[@VIEWS]")
@click.argument("csv_file", required=False, metavar="[PAIRS.CSV]", type=click.Path(path_type=Path))
@click.option(
    "--positive-rate",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Expected fraction of positive pairs.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write the scored pairs to this file, not to stdout."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    member: str, csv_file: Path | None, positive_rate: float | None, out: Path | None, as_json: bool
) -> None:
    """Estimate the probability that two images share a class. The classifier is fitted on held-out rows and
    scores the pairs of a CSV.

    The first two columns of the CSV are ids of training or test rows. Without --positive-rate, half of the pairs are
    assumed to be positive, as in the pairs used for fitting. The classifier is saved in
    runs/RUN/pairs/VIEWS.json for `kit retrieve --reranker pairs`.

    \b
    kit pairs runs/r@hflip
    kit pairs runs/r pairs.csv > scored.csv
    kit pairs runs/r pairs.csv --positive-rate 0.05 --out scored.csv
    kit retrieve runs/r --reranker '{"name": "pairs", "model": "runs/r/pairs/plain.json"}'
    """
    from kit.config.workspace import Workspace
    from kit.core.files import write_text
    from kit.stages.retrieval.pairs import classify_pairs

    result = show_progress(classify_pairs.with_progress(Workspace.find("."), member, csv_file, positive_rate))
    for line in result.describe():
        echo(line)
    echo(f"next: kit retrieve {member} --reranker '{json.dumps(result.reranker)}'")
    text = result.to_csv()
    if out is not None:
        write_text(out, text)
    if as_json:
        print_json(asdict(result))
    elif out is not None:
        click.echo(out)
    else:
        click.echo(text if csv_file is not None else result.model, nl=csv_file is None)
