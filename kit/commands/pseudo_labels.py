"""`kit pseudo-labels`: writes teachers' confident test rows, for students to train on."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from kit.commands._console import console, echo, print_result, show_progress
from kit.commands._plugin_options import read_spec

if TYPE_CHECKING:
    from kit.stages.pseudo_labelling.pseudo import PseudoResult
    from kit.stages.pseudo_labelling.values import ValueEstimate

MAX_LISTED_CLASSES = 20  # classes in the printed table


@click.command()
@click.argument("members", nargs=-1, required=True, metavar="RUN[@VIEWS]...")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Minimum probability of the predicted class. By default 0.9 without --top-fraction.",
)
@click.option(
    "--top-fraction",
    type=click.FloatRange(0, 1, min_open=True),
    help="Fraction of the rows of each predicted class, the most confident first. For shares and numbers, of the "
    "rows on which teachers agree most.",
)
@click.option(
    "--class-balanced",
    is_flag=True,
    help="Select by --top-fraction with the class distribution of the training rows.",
)
@click.option(
    "--unanimous", is_flag=True, help="Select only rows for which all teachers predict the same class."
)
@click.option("--soft", is_flag=True, help="Use the probabilities as labels instead of the predicted class.")
@click.option(
    "--rows",
    type=click.Choice(["test", "train", "both"]),
    default="test",
    show_default=True,
    help="Which rows to label. Training rows are for loss=distillation.",
)
@click.option(
    "--ensembler", default="mean", show_default=True, help="Ensembler of several teachers, as a name or JSON."
)
@click.option("--name", help="Name of the pseudo-labels. By default round-1, then round-2 and so on.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    members: tuple[str, ...],
    threshold: float | None,
    top_fraction: float | None,
    class_balanced: bool,
    unanimous: bool,
    soft: bool,
    rows: str,
    ensembler: str,
    name: str | None,
    as_json: bool,
) -> None:
    """Create pseudo-labels from the predictions of runs. A student trains on these test rows beside the
    training rows.

    The student of a fold gets only labels predicted by that fold's own networks, so its out-of-fold score
    stays unbiased. The printed accuracy of the labels is measured on held-out rows, by the same rule.

    \b
    kit pseudo-labels runs/a runs/b@hflip
    kit train --name student pseudo_labels=pseudo_labels/round-1
    kit pseudo-labels runs/a --threshold 0.95 --unanimous --name sure
    kit pseudo-labels runs/a --top-fraction 0.5 --class-balanced --soft
    kit pseudo-labels runs/student
    kit tta --checkpoints runs/a --rows both
    kit pseudo-labels runs/a --rows train --name teacher
    kit train --name small pseudo_labels=pseudo_labels/teacher loss=distillation loss.temperature=4
    """
    from kit.config.workspace import Workspace
    from kit.stages.pseudo_labelling.pseudo import PseudoRequest, pseudo
    from kit.stages.pseudo_labelling.rule import Rule

    least_confidence = 0.0 if threshold is None and top_fraction is not None else threshold
    rule = Rule(least_confidence, 1.0 if top_fraction is None else top_fraction, class_balanced, unanimous)
    row_kinds = ("test", "train") if rows == "both" else (rows,)
    request = PseudoRequest(rule, "soft" if soft else "hard", read_spec(ensembler, "--ensembler"), row_kinds)
    pseudo_result = show_progress(pseudo.with_progress(Workspace.find("."), members, name, request))
    _say(pseudo_result)
    error = pseudo_result.error
    result = {
        **asdict(replace(pseudo_result, error=None)),
        "error": None if error is None else error.to_json(),
        "accuracy": pseudo_result.held_out.accuracy,
        "interval": pseudo_result.held_out.interval,
    }
    print_result(result, [pseudo_result.path], as_json)


def _say(result: PseudoResult) -> None:
    state = "" if result.is_new else " (reused)"
    echo(
        f"{result.path}: round {result.round}, {result.labels} labels from {' '.join(result.teachers)}{state}"
    )
    if any(result.folds.values()):
        _say_test(result)
    if result.training_rows:
        echo(
            f"  {result.training_rows} training rows, each labelled by the networks of a fold that "
            "trained on it"
        )
    loss = " loss=distillation" if result.training_rows else ""
    echo(f"next: kit train --name student pseudo_labels={result.path}{loss}")


def _say_test(result: PseudoResult) -> None:
    rows_by_fold = ", ".join(f"fold {fold} {count}" for fold, count in result.folds.items())
    confidence = "" if result.error else f"; mean confidence {result.confidence:.4f}"
    echo(f"  of {result.test_rows} test rows: {rows_by_fold}{confidence}")
    if any(result.related.values()):
        related = ", ".join(f"fold {fold} {count}" for fold, count in result.related.items())
        echo(f"  not labelled, because they are related to held-out rows of the fold: {related}")
    if result.error is not None:
        _say_error(result.error)
        return
    held, (low, high) = result.held_out, result.held_out.interval
    right = (
        f"{held.accuracy:.2%} of them correctly (95 % {low:.2%} to {high:.2%})"
        if held.taken
        else "none of known accuracy"
    )
    echo(f"  on {held.rows} held-out rows the same rule labels {held.share:.1%}, {right}")
    if result.round > 1:
        echo(
            "  the teachers trained on test rows, so they are more confident on test rows than on "
            "held-out rows"
        )
    console(stderr=True).print(_classes(result))


def _say_error(estimate: ValueEstimate) -> None:
    low, high = estimate.interval
    unit = f" {estimate.unit}" if estimate.unit else ""
    if estimate.error is not None:
        echo(
            f"  on {len(estimate.all)} held-out rows the same rule labels {estimate.share:.1%}, with the "
            f"{estimate.measure} {estimate.error:.4g}{unit} (95 % {low:.4g} to {high:.4g}); all of them have "
            f"{estimate.error_of_all:.4g}"
        )


def _classes(result: PseudoResult) -> object:
    from rich.table import Table

    table = Table(
        "class", "rows per fold", "share", "of training rows", "correct, held out", box=None, pad_edge=False
    )
    largest_changes = sorted(
        result.classes, key=lambda class_share: -abs(class_share.share - class_share.prior)
    )[:MAX_LISTED_CLASSES]
    for class_share in [class_share for class_share in result.classes if class_share in largest_changes]:
        right = "-" if class_share.accuracy is None else f"{class_share.accuracy:.1%}"
        table.add_row(
            class_share.name,
            f"{class_share.rows:.0f}",
            f"{class_share.share:.1%}",
            f"{class_share.prior:.1%}",
            right,
        )
    return table
