"""kit watch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from kit.commands import _console
from kit.core.legible import escape_control

if TYPE_CHECKING:
    from rich.console import RenderableType

    from kit.runs.watching import RunSnapshot

ENDS = {"": 0, "finished": 0, "stopped": 4, "gone": 1}


@click.command()
@click.argument("run")
@click.option(
    "--every", default=1.0, show_default=True, type=click.FloatRange(0.05), help="Seconds between updates."
)
@click.option("--snapshot", "as_snapshot", is_flag=True, help="Print the progress once and exit.")
@click.option("--json", "as_json", is_flag=True, help="Print the progress once as JSON and exit.")
@click.pass_context
def command(context: click.Context, run: str, every: float, as_snapshot: bool, as_json: bool) -> None:
    """Show the progress of a run that another process trains. It shows folds, epochs and the time left.

    On a terminal kit redraws a table. Otherwise it prints one line per epoch. The command ends with the
    training. The exit status is 0 if the run is finished, 4 if it was stopped, and 1 if its process is gone.

    \b
    kit watch r
    kit watch r > r.log
    kit watch r --snapshot
    """
    from kit.config.workspace import Workspace
    from kit.runs.records import resolve_run
    from kit.runs.watching import snapshot, watch

    resolved = resolve_run(Workspace.find(), run)
    if as_json or as_snapshot:
        seen = snapshot(resolved)
        if as_json:
            _console.print_json(asdict(seen))
        else:
            _console.console().print(_render(seen))
    else:
        follow = _move if _console.console().is_terminal else _lines
        *_, seen = follow(watch(resolved, every))
    context.exit(ENDS[seen.end])


def _lines(looks: Iterable[RunSnapshot]) -> Iterator[RunSnapshot]:
    """Prints one line per epoch, each once."""
    from kit.runs.epoch_log import format_line

    lines_shown: dict[int, int] = {}
    for seen in looks:
        for fold in seen.folds:
            for line in fold.lines[lines_shown.get(fold.fold, 0) :]:
                click.echo(f"fold {fold.fold} epoch {line['epoch']}/{seen.epochs}: {format_line(line)}")
            lines_shown[fold.fold] = len(fold.lines)
        if seen.end:
            _console.echo(f"runs/{seen.run}: {seen.state}")
        yield seen


def _move(looks: Iterable[RunSnapshot]) -> Iterator[RunSnapshot]:
    """Redraws the run at each snapshot."""
    from rich.live import Live

    with Live(console=_console.console(), auto_refresh=False) as live:
        for seen in looks:
            live.update(_render(seen), refresh=True)
            yield seen


def _render(seen: RunSnapshot) -> RenderableType:
    """Returns one line per fold with its last epoch, and a line on the whole."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from kit.runs.epoch_log import scores_of

    names = list(
        dict.fromkeys(name for fold in seen.folds for line in fold.lines[-1:] for name in scores_of(line))
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("fold", "epoch", "loss", *names, "images/s", "MiB", ""):
        table.add_column(heading, justify="left" if heading == "" else "right")
    for fold in seen.folds:
        line = fold.lines[-1] if fold.lines else {}
        numbers = [line.get(name) for name in ("train_loss", *names)]
        cells = ["" if value is None else f"{value:.4f}" for value in numbers]
        speed = f"{line['images_per_second']:.0f}" if "images_per_second" in line else ""
        state = "finished" if fold.finished else ""
        epoch = f"{line.get('epoch', 0)}/{seen.epochs}"
        table.add_row(str(fold.fold), epoch, *cells, speed, str(line.get("memory_mib", "")), state)
    return Group(
        table,
        Text(f"runs/{seen.run}: {seen.share:.0%}, {_time_left(seen)}{escape_control(seen.state)}"),
    )


def _time_left(seen: RunSnapshot) -> str:
    """Returns the time left, `0:12:05 left, `."""
    from datetime import timedelta

    return "" if seen.seconds is None else f"{timedelta(seconds=round(seen.seconds))} left, "
