"""Prints the differences of two runs for `kit runs diff`: settings, inputs and scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from kit.commands import _console
from kit.commands._scores import describe_significance
from kit.core.legible import escape_control

if TYPE_CHECKING:
    from kit.runs.diff import Compared, Difference, RunCost

MAX_VALUE_CHARACTERS = 40  # characters of a value


def tell(difference: Difference) -> None:
    """Prints a table of keys, then scores, classes and time."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("", difference.one, difference.other):
        table.add_column(heading, overflow="fold")
    for key, pair in _rows(difference.config, "-"):
        table.add_row(key, *pair)
    for key, pair in _rows(difference.provenance, "-"):
        table.add_row(f"provenance {key}", *pair)
    if not table.row_count:
        table.add_row("no differences", "", "")
    _times(table, difference.spent)
    if difference.compared is not None:
        table.add_row(
            difference.compared.metric, f"{difference.compared.one:.4f}", f"{difference.compared.other:.4f}"
        )
    _console.console().print(table, markup=False)
    click.echo(
        _describe_gain(difference.other, difference.compared)
        if difference.compared is not None
        else difference.why
    )


def _rows(values: Mapping[str, tuple[Any, Any]], absent: str) -> list[tuple[str, list[str]]]:
    return [
        (key, [absent if value is None else _cell(value) for value in pair]) for key, pair in values.items()
    ]


def _cell(value: Any) -> str:
    """Returns a value as one short text; hashes as their first 12 digits."""
    text = escape_control(str(value))
    if len(text) == 64 and text.isalnum():
        return text[:12]
    return text if len(text) <= MAX_VALUE_CHARACTERS else text[: MAX_VALUE_CHARACTERS - 1] + "…"


def _times(table: Any, spent: tuple[RunCost, RunCost]) -> None:
    seconds = [cost.seconds for cost in spent]
    speeds = [cost.images_per_second for cost in spent]
    table.add_row("seconds of epochs", *("-" if value is None else f"{value:.0f}" for value in seconds))
    table.add_row("images/s", *("-" if value is None else f"{value:.0f}" for value in speeds))


def _describe_gain(name: str, compared: Compared) -> str:
    """Returns the gain with its interval, and the classes with the largest changes."""
    from kit.runs.diff import SHOWN_CLASSES

    gain = compared.gain
    interval = "" if gain.low is None or gain.high is None else f" (95 % {gain.low:+.4f} to {gain.high:+.4f})"
    lines = [
        f"{compared.metric} of {name} over {gain.over} on {compared.rows} common rows: {gain.value:+.4f}{interval}, "
        f"which {describe_significance(gain)}"
    ]
    moved = [change for change in compared.classes if change.one != change.other][:SHOWN_CLASSES]
    lines += [
        f"  {change.name}: {change.one:.1%} of {change.rows} rows predicted correctly, then {change.other:.1%}"
        for change in moved
    ]
    return escape_control("\n".join(lines))
