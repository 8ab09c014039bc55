"""`kit board`: every submission, best cross-validated score first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kit.commands import _console

if TYPE_CHECKING:
    from kit.board import Board


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print the board as JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Show all submissions ranked by their cross-validated score.

    \b
    kit board
    kit board --json
    kit board score 7 0.8123          what the leaderboard said about submission 7
    """
    if context.invoked_subcommand is None:
        _show(_read(), as_json)


@command.command(context_settings={"ignore_unknown_options": True})  # a score may be negative
@click.argument("number")
@click.argument("value", type=float)
@click.option("--json", "as_json", is_flag=True, help="Print the board as JSON.")
def score(number: str, value: float, as_json: bool) -> None:
    """Record what the leaderboard said about a submission.

    \b
    kit board score 7 0.8123
    kit board score 7 -0.35
    """
    _show(_read().score(number, value), as_json)


def _read() -> Board:
    from kit.board import Board
    from kit.workspace import Workspace

    return Board.read(Workspace.find().submissions)


def _show(board: Board, as_json: bool) -> None:
    """The ranking on stdout: a table for people, or JSON."""
    from dataclasses import asdict

    entries = board.ranked()
    if as_json:
        _console.emit([asdict(entry) for entry in entries])
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("rank", "number", "name", "metric", "cv", "leaderboard", "members", "ensembler"):
        numeric = heading in ("rank", "number", "cv", "leaderboard")
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for entry in entries:
        table.add_row(
            str(board.rank(entry.number)), str(entry.number), entry.name, entry.metric, _number(entry.cv),
            _number(entry.leaderboard), entry.members, entry.ensembler,
        )  # fmt: skip
    if entries:
        _console.console().print(table, markup=False)
    else:
        _console.say("no submissions yet; kit blend makes one")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
