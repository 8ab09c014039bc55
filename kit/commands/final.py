"""kit final."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kit.commands._console import console, echo, print_json, print_result, show_progress
from kit.commands._member_arguments import split_members
from kit.commands._time import TIME, parse_time

if TYPE_CHECKING:
    from rich.table import Table

    from kit.stages.final.final import FinalResult
    from kit.stages.final.jobs import FinalPlan, TrainingJob


@click.command()
@click.argument("members", nargs=-1, metavar="[RUN[@VIEWS]]... [KEY=VALUE]...")
@click.option(
    "--blend",
    "record",
    metavar="FILE",
    help="Use the members and ensembler of this record, such as submissions/0007-x.json.",
)
@click.option("--ensembler", help="Ensembler plugin, as for kit blend.")
@click.option(
    "--seeds",
    help="Train each member with each of these seeds, such as 0,1. By default with the member's own seed.",
)
@click.option(
    "--hours",
    type=click.FloatRange(min=0, min_open=True),
    help="Time budget in hours, counted from this start.",
)
@TIME
@click.option("--name", help="Name of the submission.")
@click.option("--top-k", type=int, help="Labels per row, if the sample has ranked labels.")
@click.option("--dry-run", is_flag=True, help="Show the plan without training.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    members: tuple[str, ...],
    record: str | None,
    ensembler: str | None,
    seeds: str | None,
    hours: float | None,
    duration: str | None,
    name: str | None,
    top_k: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train a blend's members on all rows and write the submission.

    Each member becomes a run RUN-final with the same epochs. No row is held out, so the run has no score.
    Blend weights are fitted on the members' out-of-fold rows. With --hours, members that would miss the
    deadline are skipped. With --time, nothing is skipped, and the same command resumes.

    \b
    kit final runs/r@d4 runs/s@d4 --dry-run
    kit final runs/r@d4 runs/s@d4 --hours 9 --ensembler simplex
    kit final --blend submissions/0007-x.json --seeds 0,1
    kit final runs/r@d4 runs/s@d4 --time 8h30m
    """
    from kit.commands.train import parse_numbers
    from kit.config.workspace import Workspace
    from kit.core.stopping import Stop
    from kit.stages.final.final import plan_request, run_final

    stop = Stop(echo, deadline=parse_time(duration))
    runs, overrides = split_members(members)
    workspace = Workspace.find(".", overrides)
    numbers = parse_numbers(seeds, "--seeds") or ()
    planned = plan_request(
        workspace, runs, record, ensembler, numbers, hours, top_k, resumes=duration is not None
    )
    _show(planned)
    if dry_run:
        if as_json:
            print_json(_plan_as_json(planned))
        return
    with stop.handle_signals():
        result = show_progress(run_final.with_progress(workspace, planned, name, stop))
    _tell(workspace, result)
    print_result(_as_json(result), [result.submitted.path], as_json)


def _show(plan: FinalPlan) -> None:
    """Prints the plan as a table, on stderr."""
    console(stderr=True).print(_table(plan))
    for note in plan.notes:
        echo(note)
    left = "" if plan.seconds is None else f" of {_span(plan.seconds)}, counted from this start"
    margins = f"10 % margin on measured times, and {_span(plan.blending)} to blend"
    echo(f"total {_span(plan.total)}{left}: {margins}")
    echo(f"cross-validated {plan.metric} of this blend: {plan.cv:.4f}")
    echo("networks trained on all rows have no score, because no row is held out")


def _table(plan: FinalPlan) -> Table:
    from rich.table import Table

    jobs_table = Table(box=None, pad_edge=False)
    for heading in ("run", "of", "epochs", "an epoch", "trains", "predicts", ""):
        jobs_table.add_column(
            heading, justify="left" if heading in ("run", "of", "") else "right", no_wrap=True
        )
    for unit, note in [*((job, "") for job in plan.units), *((job, "too long") for job in plan.left_out)]:
        epochs = f"{unit.epochs_done}/{unit.epochs} done" if unit.epochs_done else str(unit.epochs)
        epoch_time = _span(sum(unit.pace.epochs) / unit.epochs)
        of = " ".join(job.text for job in unit.members)
        jobs_table.add_row(
            unit.run.name,
            of,
            epochs,
            epoch_time,
            _span(unit.training_seconds),
            _span(unit.prediction_seconds),
            note,
        )
    return jobs_table


def _span(seconds: float) -> str:
    """Returns `1:02:03`, or `4.2 s` below a minute."""
    from datetime import timedelta

    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def _tell(workspace: object, result: FinalResult) -> None:
    from kit.commands._scores import format_recipe
    from kit.config.workspace import Workspace
    from kit.stages.submission.upload import upload_command

    assert isinstance(workspace, Workspace)
    submitted = result.submitted
    if fitted := format_recipe(submitted.ensembler, [score.name for score in submitted.comparison.members]):
        echo(fitted)
    for line in result.describe():
        echo(line)
    echo(f"upload: {upload_command(workspace, submitted.number)}")


def _plan_as_json(plan: FinalPlan) -> dict[str, Any]:
    return {
        "units": [_unit_as_json(unit) for unit in plan.units],
        "left_out": [_unit_as_json(unit) for unit in plan.left_out],
        "seconds": plan.total,
        "within": plan.seconds,
        "blending": plan.blending,
        "ensembler": dict(plan.ensembler),
        "metric": plan.metric,
        "cv": plan.cv,
        "notes": list(plan.notes),
    }


def _unit_as_json(unit: TrainingJob) -> dict[str, Any]:
    return {
        "run": unit.run.name,
        "of": [member.text for member in unit.members],
        "seed": unit.seed,
        "epochs": unit.epochs,
        "done": unit.epochs_done,
        "trains": unit.training_seconds,
        "predicts": unit.prediction_seconds,
    }


def _as_json(result: FinalResult) -> dict[str, Any]:
    submitted = result.submitted
    return {
        "path": str(submitted.path),
        "number": submitted.number,
        "runs": list(result.runs),
        "left_out": dict(result.left_out),
        "no_weight": list(result.no_weight),
        "metric": submitted.metric,
        "cv_of_members": submitted.cv,
        "ensembler": dict(submitted.ensembler),
        "test_rows": submitted.test_rows,
    }
