"""kit train."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import click

from kit.commands._console import echo, print_json, print_result, show_progress, warnings_as_errors
from kit.commands._decision import say_decision
from kit.commands._ranks import in_group, on_rank_zero, rank_count, relaunch
from kit.commands._time import TIME, parse_time

ECHO = 10.0  # seconds: a terminal signals the ranks, and so does torchrun

if TYPE_CHECKING:
    from kit.config.workspace import Workspace
    from kit.core.stopping import Deadline
    from kit.device.ranks import Ranks
    from kit.runs.run import Run


@click.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--name", help="Name of the run. By default made from the network and a hash of the config.")
@click.option("--folds", help="Train only these folds, such as 0,2.")
@click.option("--seeds", help="Train one run per seed, such as 0,1,2. Each is a member for kit blend.")
@click.option(
    "--config", help="Read this file instead of config.json, such as runs/x/config.json to train x again."
)
@click.option(
    "--init-from",
    "start",
    metavar="RUN",
    help="Start from the weights of another run's folds. Sets init_from.",
)
@click.option(
    "--executor",
    metavar="EXECUTOR",
    help="Train several folds in parallel: processes, ray, or JSON with options.",
)
@click.option("--restart", is_flag=True, help="Train the run again. The old run is kept as NAME.replaced-1.")
@click.option(
    "--devices",
    type=click.IntRange(1),
    help="Train each fold on this number of GPUs, or of CPU processes.",
)
@TIME
@click.option("--dry-run", is_flag=True, help="Check everything up to the first batch without training.")
@click.option("--strict", is_flag=True, help="Treat warnings as errors, such as conflicting labels.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def command(
    arguments: tuple[str, ...],
    overrides: tuple[str, ...],
    name: str | None,
    folds: str | None,
    seeds: str | None,
    config: str | None,
    start: str | None,
    executor: str | None,
    restart: bool,
    devices: int | None,
    duration: str | None,
    dry_run: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Train the configured network on each fold, or resume.

    KEY=VALUE changes the config for this run. Run the same command again to resume. A finished run only
    reports that it is finished.

    \b
    kit train --name r backbone.arch=resnet18 image_size=128 epochs=20
    kit train --name c loss=cutmix loss.base=arcface loss.base.margin=0.3
    kit train --name r --folds 0,2
    kit train --name r --seeds 0,1,2
    kit train --name r --seeds 0,1,2 --executor processes
    kit train --name r --dry-run
    kit train --name r --time 8h30m
    kit train --name r --restart
    kit train --name s --init-from runs/r optimizer.lr=0.0002
    kit train --name again --config runs/r/config.json
    kit train --name r --devices 2
    torchrun --nproc-per-node 2 -m kit train --name r
    """
    from kit.config.workspace import Workspace
    from kit.evaluation.competition import check_scoring

    if strict:
        warnings_as_errors()
    deadline = parse_time(duration)
    if restart and dry_run:
        raise click.UsageError("give either --restart or --dry-run, not both")
    if start is not None:
        overrides = (*overrides, f"init_from={start}")
    if executor is not None:
        overrides = (f"executor={executor}", *overrides)
    workspace = Workspace.find(".", overrides, config)
    check_scoring(workspace)
    wanted = parse_numbers(folds, "--folds")
    if dry_run:
        _dry_run(workspace, name, wanted, as_json)
        return
    relaunch(devices, arguments)
    seeded = parse_numbers(seeds, "--seeds") or []
    requests: list[tuple[Workspace, str | None]] = [
        (Workspace.find(".", (*overrides, f"seed={seed}"), config), name and f"{name}-seed{seed}")
        for seed in seeded
    ] or [(workspace, name)]
    at_once = len(requests) > 1 and workspace.experiment.executor is not None
    groups = [requests] if at_once else [[request] for request in requests]
    with in_group() as ranks:
        results = [result for group in groups for result in _train(group, wanted, restart, ranks, deadline)]
        print_result(results if seeds else results[0], [result["run"] for result in results], as_json)


def parse_numbers(text: str | None, option: str) -> list[int] | None:
    """Returns `0,2` as numbers; None if the option was not given."""
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a list of numbers such as 0,2", param_hint=option
        ) from None


def _train(
    requests: list[tuple[Workspace, str | None]],
    folds: list[int] | None,
    restart: bool,
    ranks: Ranks | None,
    deadline: Deadline | None,
) -> list[dict[str, object]]:
    """Trains runs, several together, prints how each ended, and returns that. Raises the first failure."""
    from kit.errors import KitError, StoppedError
    from kit.runs.run import Run, check_same_experiment, find_run, is_finished

    runs = [find_run(workspace, name) for workspace, name in requests]
    for run, (workspace, _) in zip(runs, requests, strict=True):
        if restart:
            on_rank_zero(ranks, partial(_set_aside, run))
        on_rank_zero(ranks, partial(check_same_experiment, run, workspace.experiment))
    finished = on_rank_zero(ranks, lambda: [run.name for run in runs if is_finished(run, folds)])
    for name in finished:
        echo(f"runs/{name} is finished")
    outcomes: list[Run | KitError] = [*runs]
    if len(finished) < len(runs):
        from kit.core.stopping import Stop
        from kit.device.ranks import ALONE
        from kit.stages.training.train import train_run, train_runs

        stop = Stop(echo, 0, ECHO if rank_count() > 1 else 0.0, deadline)
        try:
            with stop.handle_signals():
                if len(requests) > 1:
                    outcomes = show_progress(train_runs(requests, folds, stop, ranks or ALONE))
                else:
                    outcomes = [
                        show_progress(train_run.with_progress(*requests[0], folds, stop, ranks or ALONE))
                    ]
        except StoppedError as error:
            if restart:
                hint = "run the same command without --restart to resume"
                raise error.replace(hint=hint) from error
            raise
    run_scores = [_print_scores(run) for run in outcomes if isinstance(run, Run)]
    if run_scores:
        say_decision(requests[0][0])
    failed = [
        (run, outcome) for run, outcome in zip(runs, outcomes, strict=True) if isinstance(outcome, KitError)
    ]
    for run, outcome in failed[1:]:
        echo(f"runs/{run.name} failed: {outcome}")
    if failed:
        run, first = failed[0]
        if len(requests) > 1:
            raise first.replace(summary=f"runs/{run.name}: {first.summary}") from first
        raise first
    return run_scores


def _print_scores(run: Run) -> dict[str, object]:
    """Prints a trained run's scores, and returns them."""
    from kit.data.predictions import Predictions
    from kit.runs.run import is_on_embeddings
    from kit.stages.prediction.suggestions import suggest_views

    provenance = Predictions.read(run.predictions("plain") / "oof.parquet").provenance
    pooled = provenance.require_scores()
    for fold, scores in sorted(provenance.require_fold_scores().items(), key=lambda item: int(item[0])):
        echo(f"  fold {fold}  {_list_scores(scores)}")
    if pooled:
        echo(f"  all rows pooled, out of fold  {_list_scores(pooled)}")
    else:
        echo("  no row was held out, so there is no score")
    if is_on_embeddings(run):
        echo(f"next: kit blend runs/{run.name}    (the test rows are predicted)")
    else:
        views = suggest_views(run)
        echo(f"next: kit tta --checkpoints runs/{run.name} --views {views}    (others: kit plugins views)")
    return {"run": f"runs/{run.name}", "scores": pooled, "fold_scores": provenance.require_fold_scores()}


def _set_aside(run: Run) -> None:
    from kit.runs.archive import archive_run

    archived = archive_run(run)
    if archived is not None:
        echo(f"training runs/{run.name} again; the old run is runs/{archived.name}")


def _list_scores(scores: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in scores.items())


def _dry_run(workspace: Workspace, name: str | None, folds: list[int] | None, as_json: bool) -> None:
    from dataclasses import asdict

    from kit.experiment.dry_run import dry_run

    values = asdict(show_progress(dry_run.with_progress(workspace, name, folds)))
    if as_json:
        print_json(values)
        return
    for key, value in values.items():
        name = "loss of equal outputs" if key == "guessing_loss" else key.replace("_", " ")
        click.echo(f"{name:21} {_value_text(value)}")


def _value_text(value: object) -> str:
    """Returns a value of a dry run for people: losses with four decimals, folds in words."""
    if isinstance(value, dict):
        return "; ".join(
            f"{fold}: {rows} train, {held_out} held out" for fold, (rows, held_out) in value.items()
        )
    if isinstance(value, tuple):
        return " x ".join(map(str, value))
    return f"{value:.4f}" if isinstance(value, float) else str(value)
