"""kit tta."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from kit.commands._console import echo, print_result, show_progress
from kit.commands._decision import say_decision
from kit.commands._plugin_options import read_spec
from kit.commands._time import TIME, parse_time

if TYPE_CHECKING:
    from kit.config.workspace import Workspace
    from kit.core.stopping import Stop
    from kit.model.predict import Merge
    from kit.stages.prediction.tta import TtaResult, WhichRows
    from kit.stages.prediction.view_policy import ViewPolicyResult


OVERRIDE = re.compile(r"[a-z_]+(\.\w+)*=")  # key=value, which no path of a run looks like


class RepeatedPathsCommand(click.Command):
    """A command whose --checkpoints takes all paths up to the next option, as a shell expands runs/*."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(context, _repeat_option(args, "--checkpoints"))


def _repeat_option(args: Sequence[str], option: str) -> list[str]:
    """Returns `--checkpoints a b`, or `-c a b`, as `--checkpoints a --checkpoints b`."""
    spread: list[str] = []
    inside = False
    for arg in args:
        if arg.startswith("-"):
            inside = arg in (option, option[1:3])
            spread.append(arg)
        elif inside and not spread[-1].startswith("-") and not OVERRIDE.match(arg):
            spread += [option, arg]
        else:
            spread.append(arg)
    return spread


@click.command(cls=RepeatedPathsCommand)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--checkpoints",
    "-c",
    multiple=True,
    required=True,
    metavar="PATH...",
    help="Runs, folds or checkpoint folders. Can be repeated.",
)
@click.option("--views", default="plain", show_default=True, help="Views plugin, or JSON with options.")
@click.option(
    "--merge",
    type=click.Choice(["mean", "geometric"]),
    default="mean",
    show_default=True,
    help="How to average over views.",
)
@click.option(
    "--choose-views",
    metavar="ENSEMBLER",
    help="Fit view weights on out-of-fold rows: greedy, simplex, ...",
)
@click.option(
    "--rows",
    type=click.Choice(["test", "train", "both"]),
    default="test",
    show_default=True,
    help="Which rows to predict in addition to out-of-fold rows. Each fold's training rows are for "
    "loss=distillation.",
)
@click.option(
    "--bn-adapt",
    type=click.IntRange(0),
    metavar="N",
    help="Adapt batch norm to the predicted rows; training's statistics count as N rows.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1.")
@click.option(
    "--executor",
    metavar="EXECUTOR",
    help="Predict parts of the rows in parallel: processes, ray, or JSON with options.",
)
@TIME
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    overrides: tuple[str, ...],
    checkpoints: tuple[str, ...],
    views: str,
    merge: str,
    choose_views: str | None,
    rows: WhichRows,
    bn_adapt: int | None,
    device: str,
    executor: str | None,
    duration: str | None,
    as_json: bool,
) -> None:
    """Predict test and out-of-fold rows with test-time augmentation.

    The predictions of each run go to runs/RUN/predictions/VIEWS/. Existing predictions are reused. Each image
    is read once for all runs with the same image size and cache size.

    \b
    kit tta --checkpoints runs/r runs/s --views d4
    kit tta --checkpoints runs/* --views hflip --merge geometric
    kit tta --checkpoints runs/r/fold-0 --views plain
    kit tta --checkpoints runs/r data.on_unreadable_test=class_prior
    kit tta --checkpoints runs/r --views '{"name": "shift", "pixels": 3}'
    kit tta --checkpoints runs/r --views d4 --choose-views greedy
    kit tta --checkpoints runs/r --views d4 --executor processes
    kit tta --checkpoints runs/r --rows both
    kit tta --checkpoints runs/r --bn-adapt 64
    kit tta --checkpoints runs/r --views d4 --time 2h
    """
    from kit.config.workspace import Workspace
    from kit.core.stopping import Stop
    from kit.stages.prediction.tta import tta

    stop = Stop(echo, deadline=parse_time(duration))
    spec = read_spec(views, "--views")
    given = () if executor is None else (f"executor={executor}",)
    workspace = Workspace.find(".", (*given, *overrides))
    if choose_views is not None:
        if merge != "mean" or rows != "test":
            text = "with --choose-views, the view weights are fitted, for held-out and test rows only"
            raise click.BadParameter(text, param_hint="--rows" if rows != "test" else "--merge")
        if bn_adapt is not None:
            text = "batch norm is not adapted while view weights are fitted"
            raise click.BadParameter(text, param_hint="--bn-adapt")
        _policy(
            workspace, checkpoints, spec, read_spec(choose_views, "--choose-views"), device, stop, as_json
        )
        return
    averaging: Merge = "geometric" if merge == "geometric" else "mean"
    with stop.handle_signals():
        work = tta.with_progress(workspace, checkpoints, spec, averaging, device, rows, stop, bn_adapt)
        results = show_progress(work)
    for result in results:
        _say(result)
    say_decision(workspace)
    if all(result.scores for result in results):
        echo(_next_step(results))
    members = [
        {"member": e.member, "folder": e.folder, "folds": e.folds, "scores": e.scores} for e in results
    ]
    print_result(members, [result.member for result in results], as_json)


def _next_step(results: Sequence[TtaResult]) -> str:
    """Returns a blend command of the members; of plain predictions instead, if the views lowered the score of each."""
    if all(result.gain is not None and result.gain.value < 0 for result in results):
        from kit.runs.records import split_ref

        runs = " ".join(split_ref(result.member)[0] for result in results)
        return f"next: kit tta --checkpoints {runs} --views plain    (these views lower the score)"
    return f"next: kit blend {' '.join(result.member for result in results)}"


def _policy(
    workspace: Workspace,
    checkpoints: tuple[str, ...],
    views: Any,
    recipe: Any,
    device: str,
    stop: Stop,
    as_json: bool,
) -> None:
    """Fits each run's policy, and prints its average and whether its gain is significant."""
    from kit.stages.prediction.view_policy import choose_views

    with stop.handle_signals():
        results = show_progress(
            choose_views.with_progress(workspace, checkpoints, views, recipe, device, stop)
        )
    for result in results:
        _say_policy(result)
    say_decision(workspace)
    echo(f"next: kit blend {' '.join(result.member for result in results)}")
    print_result([asdict(result) for result in results], [result.member for result in results], as_json)


def _say_policy(chosen: ViewPolicyResult) -> None:
    from kit.evaluation.bootstrap import format_gain

    echo(f"{chosen.member}:")
    if chosen.weights:
        shares = ", ".join(f"{name} ({weight:.2g})" for name, weight in chosen.weights.items())
        echo(f"  weighted mean of {len(chosen.weights)} views: {shares}")
    echo(f"  nested {chosen.nested:.4f} (in-sample {chosen.in_sample:.4f})")
    for gain in chosen.gains:
        echo(f"  over {gain.over} {chosen.others[gain.over]:.4f}: {format_gain(gain)}")


def _say(result: TtaResult) -> None:
    """Prints one run's scores by these views, beside those without."""
    from kit.evaluation.bootstrap import format_gain

    state = "" if result.computed else " (reused)"
    folds = ", ".join(map(str, result.folds))
    echo(f"{result.member}: {result.views} view{'s' * (result.views > 1)}, folds {folds}{state}")
    if not result.scores:
        echo("  no row was held out, so there is no score")
    for name, value in result.scores.items():
        before = (
            f" (plain {result.plain[name]:.4f}, {value - result.plain[name]:+.4f})"
            if name in result.plain
            else ""
        )
        echo(f"  out of fold {name} {value:.4f}{before}")
    if result.gain is not None:
        echo(f"  over plain: {format_gain(result.gain)}")
        if not result.gain.is_significant:
            from kit.runs.records import split_ref

            plain = split_ref(result.member)[0]
            echo(f"  simpler choice: kit tta --checkpoints {plain} --views plain")
