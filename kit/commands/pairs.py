"""`kit pairs`: whether two images show the same class."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kit.commands._console import echo, print_json, show_progress

if TYPE_CHECKING:
    from kit.stages.retrieval.pairs import PairsResult


@click.command()
@click.argument("member", metavar="RUN[@VIEWS]")
@click.argument("csv_file", required=False, metavar="[PAIRS.CSV]", type=click.Path(path_type=Path))
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Of the pairs that are the same.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write the judged pairs there, not to stdout.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(member: str, csv_file: Path | None, share: float | None, out: Path | None, as_json: bool) -> None:
    """Learn from held-out rows how likely two images are of one class, and judge the pairs of a CSV.

    The CSV's first two columns are ids of training or test rows. Without --share, probabilities are those of pairs of
    which half are the same, as the pairs are that were learned from. What was learned is in runs/RUN/pairs/VIEWS.json,
    where `kit retrieve --reranker pairs` reads it.

    \b
    kit pairs runs/r@hflip
    kit pairs runs/r pairs.csv > judged.csv
    kit pairs runs/r pairs.csv --share 0.05 --out judged.csv
    kit retrieve runs/r --reranker '{"name": "pairs", "model": "runs/r/pairs/plain.json"}'
    """
    from kit.config.workspace import Workspace
    from kit.core.files import write_text
    from kit.stages.retrieval.pairs import classify_pairs

    made = show_progress(classify_pairs.with_progress(Workspace.find("."), member, csv_file, share))
    _say(made, member)
    text = _table(made)
    if out is not None:
        write_text(out, text)
    if as_json:
        print_json(asdict(made))
    elif out is not None:
        click.echo(out)
    else:
        click.echo(text if csv_file is not None else made.model, nl=csv_file is None)


def _say(made: PairsResult, member: str) -> None:
    scores = ", ".join(f"{name} {value:.4f}" for name, value in made.scores.items())
    echo(
        f"{made.drawn} pairs of held-out rows, half of one class; on folds that were not learned from: {scores}"
    )
    echo(f"told the same from {made.threshold:.3f} on, F1 is {made.f1:.4f}")
    if made.seen:
        echo(
            f"{made.seen} pairs are of training rows of different folds: each network was trained on one of the two"
        )
    spec = f'{{"name": "pairs", "model": "runs/{made.model.parents[1].name}/pairs/{made.model.name}"}}'
    echo(f"next: kit retrieve {member} --reranker '{spec}'")


def _table(made: PairsResult) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id_1", "id_2", "probability", "same"])
    writer.writerows(
        [*ids, f"{value:.6g}", int(value >= made.adjusted_threshold)]
        for ids, value in zip(made.ids, made.probabilities, strict=True)
    )
    return text.getvalue()
