"""Prints the board's numbers: a few lines on stderr, and tables of advice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kit.commands import _console

if TYPE_CHECKING:
    from rich.table import Table

    from kit.stages.leaderboard.advice import Recommendation, SendPlan
    from kit.stages.leaderboard.gap import Gap
    from kit.stages.leaderboard.overview import Overview
    from kit.stages.leaderboard.submission_diff import Change


MAX_LISTED_IDS = 20  # pairs of answers, which may be hundreds


def print_overview(overview: Overview) -> None:
    """Prints how CV and leaderboard agree, the noise, and what to check if they disagree."""
    if overview.agreement.scored:
        _console.echo(overview.agreement.describe())
    if overview.noise is not None:
        _console.echo(overview.noise.describe())
    elif overview.unknown:
        _console.echo(f"unknown noise of the scores: {overview.unknown}")
    if overview.gap is not None:
        print_gap(overview.gap)
    for doubt in overview.agreement.doubts:
        for check in doubt.checks:
            _console.echo(f"  check: {check}")


def print_gap(gap: Gap) -> None:
    """Prints how much of the gap sampling noise explains, and the evidence for the rest."""
    _console.echo(gap.describe())
    for evidence in gap.evidence:
        _console.echo(f"  {evidence.kind}: {evidence.code} {evidence.what}")
        _console.echo(f"    effect: {evidence.effect}")
        _console.echo(f"    fix: {evidence.fix}")
    if gap.unknown:
        _console.echo(f"  {gap.unknown}")


def advice(advised: Sequence[Recommendation]) -> Table:
    """Returns a table of submissions with the reasons for or against them."""
    rows_table = table("number", "name", "cv", "leaderboard", "why")
    for recommendation in advised:
        entry = recommendation.entry
        rows_table.add_row(
            str(entry.number), entry.name, number(entry.cv), number(entry.leaderboard), recommendation.why
        )
    return rows_table


def print_send_plan(sending: SendPlan, left: int) -> None:
    """Prints the submissions worth one of those left on stdout, and the others on stderr."""
    if sending.worth:
        _console.echo(f"recommended for the {left} submissions left today, best first:")
        _console.console().print(advice(sending.worth), markup=False)
    else:
        _console.echo("no submission on the board is recommended for today")
    for recommendation in sending.others:
        _console.echo(
            f"  not recommended: {recommendation.entry.number} {recommendation.entry.name}: {recommendation.why}"
        )


def table_of_changes(changes: Sequence[Change], one: str, other: str) -> Table:
    """Returns a table of how many rows change from one answer to another, with some of their ids."""
    changes_table = table("rows", one, other, "such as")
    for change in changes[:MAX_LISTED_IDS]:
        changes_table.add_row(str(len(change.ids)), change.before, change.after, " ".join(change.ids[:3]))
    return changes_table


def table(*headings: str) -> Table:
    """Returns an empty table with right-aligned numbers."""
    from rich.table import Table

    new_table = Table(box=None, pad_edge=False)
    for heading in headings:
        numeric = heading in ("rank", "number", "cv", "leaderboard", "rows")
        new_table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    return new_table


def number(value: float | None) -> str:
    """Returns a score as text, empty if there is none."""
    return "" if value is None else f"{value:.4f}"
