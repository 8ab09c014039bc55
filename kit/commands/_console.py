"""Output of commands: data on stdout, messages on stderr, progress if there is a terminal."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from kit.core.legible import escape_control, legible, legible_json
from kit.core.renamed import COMMANDS
from kit.errors import KitError, KitWarning, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars

    from kit.core.progress import Progress, Work

T = TypeVar("T")


class Group(click.Group):
    """A group of commands whose message about an unknown command proposes a known one."""

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(context)
        if args[0] not in known and not args[0].startswith("-"):
            near = did_you_mean(args[0], known, COMMANDS.get(context.command_path))
            context.fail(f"no command named {args[0]!r}{near}")
        return super().resolve_command(context, args)


def echo(text: str = "") -> None:
    """Prints a message on stderr."""
    click.echo(escape_control(text), err=True)


def print_json(value: Any) -> None:
    """Prints a value as JSON on stdout."""
    click.echo(legible_json(value, indent=2, default=str))


def print_result(values: Any, lines: Iterable[object], as_json: bool) -> None:
    """Prints a command's result on stdout: as JSON values, or in lines."""
    if as_json:
        print_json(values)
        return
    for line in lines:
        click.echo(legible(str(line)))


def fail(error: KitError) -> None:
    """Prints an error's summary, its first cases and its hint on stderr."""
    for number, line in enumerate(escape_control(str(error)).splitlines()):
        click.secho(("error: " if number == 0 else "") + line, err=True, fg="red" if number == 0 else None)


def show_warnings() -> None:
    """Shows each KitWarning once, as a line on stderr. Warnings of other libraries are hidden."""

    texts_shown: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, KitWarning) and str(message) not in texts_shown:
            texts_shown.add(str(message))
            click.secho(escape_control(f"warning: {message}"), err=True, fg="yellow")

    warnings.showwarning = show
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", KitWarning)


def warnings_as_errors() -> None:
    """Makes each KitWarning end the command, with the exit status of bad data."""
    warnings.simplefilter("error", KitWarning)


def console(stderr: bool = False) -> Console:
    """Returns rich's console, which obeys NO_COLOR, and has 100 columns if there is no terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else 100)


def show_progress(work: Work[T]) -> T:
    """Shows a stage's progress on stderr and returns its result: a bar with an ETA, or plain lines."""
    from kit.core.progress import ResultOf

    outcome = ResultOf(work)
    if sys.stderr.isatty():
        draw_progress(outcome)
    else:
        for step in outcome:
            if step.line:
                echo(f"{step.task}: {step.detail}")
    return outcome.result


def draw_progress(steps: Iterable[Progress]) -> None:
    """Draws one bar on stderr for the current task. Lines stay above it."""
    with make_bars(console(stderr=True)) as bars:
        task = None
        for step in steps:
            if step.line:
                bars.console.print(f"{step.task}: {step.detail}", markup=False, soft_wrap=True)
            if task is None or bars.tasks[0].description != step.task:
                if task is not None:
                    bars.remove_task(task)
                task = bars.add_task(step.task, total=step.total, detail="")
            bars.update(task, completed=step.done, total=step.total)
            if not step.line:
                bars.update(task, detail=step.detail)


def make_bars(console: Console, **options: Any) -> Bars:
    """Returns rich's bar with the share, the time passed, the time left and a detail; `options` are those of rich."""
    from rich.progress import (
        BarColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars
    from rich.table import Column

    rest = Column(ratio=1, no_wrap=True)  # the part that a narrow terminal cuts first
    return Bars(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", table_column=rest, markup=False),
        console=console,
        **options,
        expand=True,
        transient=True,
    )
