"""`kit pseudo`: teachers' confident test rows, for students to train on."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from kit.commands._console import console, echo, print_result, show_progress
from kit.commands._plugin_options import read_spec

if TYPE_CHECKING:
    from kit.stages.pseudo_labelling.pseudo import PseudoResult

MAX_LISTED_CLASSES = 20  # classes in the table that is printed


@click.command()
@click.argument("members", nargs=-1, required=True, metavar="RUN[@VIEWS]...")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Least probability of the likeliest class; 0.9 without --top.",
)
@click.option(
    "--top",
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of the rows called each class, the surest first.",
)
@click.option("--balanced", is_flag=True, help="Take --top of each class's share among the training rows.")
@click.option("--agree", is_flag=True, help="Take rows that all teachers call the same class.")
@click.option("--soft", is_flag=True, help="Labels are the probabilities, not the likeliest class.")
@click.option(
    "--rows",
    type=click.Choice(["test", "train", "both"]),
    default="test",
    show_default=True,
    help="Of which rows teachers tell; training rows are for loss=distillation.",
)
@click.option(
    "--ensembler", default="mean", show_default=True, help="How several teachers become one: a name, or JSON."
)
@click.option("--name", help="The labels' name; by default round-1, or as the round is.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    members: tuple[str, ...],
    threshold: float | None,
    top: float | None,
    balanced: bool,
    agree: bool,
    soft: bool,
    rows: str,
    ensembler: str,
    name: str | None,
    as_json: bool,
) -> None:
    """Label test rows by what runs predict, for students that train on them beside the training rows.

    The student of a fold is told what that fold's own networks say, so its out-of-fold score stays honest. What is
    printed of labels being right is measured on held-out rows, by the same rule.

    \b
    kit pseudo runs/a runs/b@hflip
    kit train --name student pseudo=pseudo/round-1
    kit pseudo runs/a --threshold 0.95 --agree --name sure
    kit pseudo runs/a --top 0.5 --balanced --soft
    kit pseudo runs/student
    kit tta --checkpoints runs/a --train
    kit pseudo runs/a --rows train --name teacher
    kit train --name small pseudo=pseudo/teacher loss=distillation loss.temperature=4
    """
    from kit.config.workspace import Workspace
    from kit.stages.pseudo_labelling.pseudo import PseudoRequest, pseudo
    from kit.stages.pseudo_labelling.rule import DEFAULT_THRESHOLD, Rule

    sure = threshold if threshold is not None else DEFAULT_THRESHOLD if top is None else 0.0
    rule = Rule(sure, 1.0 if top is None else top, balanced, agree)
    told = ("test", "train") if rows == "both" else (rows,)
    asked = PseudoRequest(rule, "soft" if soft else "hard", read_spec(ensembler, "--ensembler"), told)
    made = show_progress(pseudo.with_progress(Workspace.find("."), members, name, asked))
    _say(made)
    result = {**asdict(made), "accuracy": made.held_out.accuracy, "interval": made.held_out.interval}
    print_result(result, [made.path], as_json)


def _say(made: PseudoResult) -> None:
    state = "" if made.is_new else " (there already)"
    echo(f"{made.path}: round {made.round}, {made.labels} labels by {' '.join(made.teachers)}{state}")
    if any(made.folds.values()):
        _say_test(made)
    if made.training_rows:
        echo(f"  {made.training_rows} training rows, each told by the networks of a fold that trained on it")
    loss = " loss=distillation" if made.training_rows else ""
    echo(f"next: kit train --name student pseudo={made.path}{loss}")


def _say_test(made: PseudoResult) -> None:
    taken = ", ".join(f"fold {fold} {count}" for fold, count in made.folds.items())
    echo(f"  of {made.test_rows} test rows: {taken}; mean confidence {made.confidence:.4f}")
    if any(made.kin.values()):
        kin = ", ".join(f"fold {fold} {count}" for fold, count in made.kin.items())
        echo(f"  left out, as they belong to rows that the fold holds out: {kin}")
    held, (low, high) = made.held_out, made.held_out.interval
    right = (
        f"{held.accuracy:.2%} of them are right (95 % {low:.2%} to {high:.2%})"
        if held.taken
        else "none to measure"
    )
    echo(f"  on {held.rows} held-out rows the same rule takes {held.share:.1%}, and {right}")
    if made.round > 1:
        echo("  teachers have trained on test rows themselves: of those they are surer than of held-out rows")
    console(stderr=True).print(_classes(made))


def _classes(made: PseudoResult) -> object:
    from rich.table import Table

    table = Table(
        "class", "rows a fold", "share", "of training rows", "right, held out", box=None, pad_edge=False
    )
    shown = sorted(made.classes, key=lambda one: -abs(one.share - one.prior))[:MAX_LISTED_CLASSES]
    for one in [one for one in made.classes if one in shown]:
        right = "-" if one.accuracy is None else f"{one.accuracy:.1%}"
        table.add_row(one.name, f"{one.rows:.0f}", f"{one.share:.1%}", f"{one.prior:.1%}", right)
    return table
