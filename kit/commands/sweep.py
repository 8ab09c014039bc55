"""`kit sweep`: runs many experiments by one command."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from kit.commands._console import console, echo, print_json, show_progress
from kit.commands._time import parse_time

if TYPE_CHECKING:
    from kit.stages.training.sweep import SweepResult


@click.command()
@click.argument("name")
@click.argument("axes", nargs=-1, metavar="[KEY=A,B,C | KEY=LOW..HIGH | KEY=log:LOW..HIGH]...")
@click.option(
    "--config-set",
    "config_sets",
    multiple=True,
    metavar="'KEY=VALUE ...'",
    help="A set of overrides. Can be repeated.",
)
@click.option("--preset", type=click.Choice(["rate", "size", "augmentation"]),
              help="First trials for a run that fine-tunes.")  # fmt: skip
@click.option(
    "--time",
    "duration",
    metavar="TIME",
    help="Stop and save before this time is over, such as 2h. With --preset, it also sets the epochs.",
)
@click.option(
    "--trials",
    type=click.IntRange(1),
    help="Search with this number of trials by optuna's TPE, instead of a grid.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the search.")
@click.option(
    "--pruner",
    type=click.Choice(["halving", "median"]),
    help="Stop trials after a part of their epochs, by optuna's rule.",
)
@click.option(
    "--stop-folds",
    is_flag=True,
    help="Stop a trial if its finished folds are significantly worse than another trial's.",
)
@click.option("--executor", metavar="EXECUTOR", help="Train several trials in parallel, as for kit train.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    name: str,
    axes: tuple[str, ...],
    config_sets: tuple[str, ...],
    preset: str | None,
    duration: str | None,
    trials: int | None,
    seed: int,
    pruner: str | None,
    stop_folds: bool,
    executor: str | None,
    as_json: bool,
) -> None:
    """Train a grid of settings, or search with optuna. Each trial is an ordinary run.

    The runs are NAME-001, NAME-002, ... Run the same command again to resume. The table shows the gain of
    the best trial over each other trial on the same rows. It marks gains that are not significant. The number
    after ± is the sample standard deviation over folds (ddof 1). A pruned trial has no score. The exit status is 5 if
    a trial failed, and 6 if --time is over.

    \b
    kit sweep lr optimizer.lr=0.001,0.002,0.004 epochs=10
    kit sweep mix loss=cutmix,focal --config-set backbone.arch=resnet18 --config-set "backbone.arch=resnet34 epochs=12"
    kit sweep lr optimizer.lr=0.001,0.002 --executor processes
    kit sweep tpe optimizer.lr=log:1e-4..1e-2 augmenter.rotate=0..30 loss=cutmix,mixup --trials 20
    kit sweep half optimizer.lr=0.001,0.002,0.004,0.008 --pruner halving --stop-folds
    kit sweep rate --preset rate --time 2h
    kit sweep lr optimizer.lr=0.001,0.002 --time 8h30m
    """
    from kit.core.durations import parse_duration
    from kit.core.stopping import Stop
    from kit.errors import PARTLY, StoppedError
    from kit.stages.training.sweep import run_sweep

    stop = Stop(echo, deadline=parse_time(duration))
    seconds = parse_duration(duration) if duration else None
    try:
        with stop.handle_signals():
            result = show_progress(
                run_sweep.with_progress(
                    name,
                    axes,
                    config_sets,
                    trials,
                    seed,
                    ".",
                    stop,
                    executor,
                    preset,
                    seconds,
                    pruner,
                    stop_folds,
                )
            )
    except StoppedError as error:
        raise error.replace(hint="run the same command again to resume") from error
    if as_json:
        print_json({**asdict(result), "epochs": result.epochs})
    else:
        _show(result)
    if result.failed_trials:
        echo(
            f"{len(result.failed_trials)} of {len(result.trials)} trials failed; run the same command "
            "again to retry them"
        )
        raise click.exceptions.Exit(PARTLY)


def _show(result: SweepResult) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in (
        "run",
        "settings",
        result.metric,
        "± sd of folds (ddof 1)",
        "behind the best (95 %)",
    ):
        table.add_column(heading, justify="right" if heading == result.metric else "left")
    for number, trial in enumerate(result.trials):
        ended = "pruned" if trial.pruned else "failed"
        score = f"{trial.score:.4f}" if trial.score is not None else ended
        spread = f"± {trial.score_std:.4f}" if trial.score_std is not None else ""
        behind = trial.failed or trial.pruned or ("the best" if number == 0 else "")
        if trial.gain_of_best is not None:
            low, high = trial.gain_of_best.low, trial.gain_of_best.high
            interval = f" ({low:+.4f} to {high:+.4f})" if low is not None and high is not None else ""
            doubt = "" if trial.gain_of_best.is_significant else ", not significant"
            behind = f"{trial.gain_of_best.value:+.4f}{interval}{doubt}"
        table.add_row(trial.run, " ".join(trial.changed or trial.overrides), score, spread, behind)
    console().print(table, markup=False)
    if result.budget is not None:
        count = len(result.pruned_trials)
        echo(
            f"{result.epochs} of {result.budget} epochs trained; {count} of {len(result.trials)} trials pruned"
        )
