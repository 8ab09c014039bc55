"""How the board's numbers are told: a few lines on stderr, and tables of advice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kit.commands import _console

if TYPE_CHECKING:
    from rich.table import Table

    from kit.stages.leaderboard.advice import Recommendation, SendPlan
    from kit.stages.leaderboard.agreement import Agreement
    from kit.stages.leaderboard.gap import Gap
    from kit.stages.leaderboard.noise import Noise
    from kit.stages.leaderboard.overview import Overview
    from kit.stages.leaderboard.submission_diff import Change


MAX_LISTED_IDS = 20  # pairs of answers, of which there may be hundreds


def print_overview(overview: Overview) -> None:
    """How cv and leaderboard agree, the noise, and the checks to make where they part ways."""
    if overview.agreement.scored:
        _console.echo(describe_agreement(overview.agreement))
    if overview.noise is not None:
        _console.echo(describe_noise(overview.noise))
    elif overview.unknown:
        _console.echo(f"unknown noise of the scores: {overview.unknown}")
    if overview.gap is not None:
        print_gap(overview.gap)
    for doubt in overview.agreement.doubts:
        for check in doubt.checks:
            _console.echo(f"  check: {check}")


def print_gap(found: Gap) -> None:
    """What sampling noise explains of the gap, and what there is evidence for."""
    low, high = found.sampling_noise
    by = "explained by sampling noise" if found.explained else "more than sampling noise"
    _console.echo(
        f"gap of leaderboard and cv {found.gap:+.4f}, sampling noise {low:+.4f} to {high:+.4f} (95 %): {by}"
    )
    for one in found.evidence:
        _console.echo(f"  {one.kind}: {one.code} {one.what}")
        _console.echo(f"    effect: {one.effect}")
        _console.echo(f"    fix: {one.fix}")
    if found.unknown:
        _console.echo(f"  {found.unknown}")


def describe_agreement(found: Agreement) -> str:
    """How the leaderboard scores agree with CV, in one line."""
    plural = "s have" if found.scored > 1 else " has"
    parts = [f"{found.scored} submission{plural} a leaderboard score: {found.gap:+.4f} against cv (median)"]
    if found.trend is not None:
        parts.append(f"trend {found.trend:+.4f} per submission (Theil-Sen, p = {found.trend_chance:.2f})")
    if found.correlation is not None:
        parts.append(f"rank correlation {found.correlation:.2f} (Spearman)")
    return ", ".join(parts)


def describe_noise(found: Noise) -> str:
    """The standard errors of a score, in one line."""
    parts = [("test", found.test), ("public", found.public), ("private", found.private)]
    sizes = [f"{part[1]:.4f} on {part[0]} {name} rows" for name, part in parts if part is not None]
    drawn = "groups" if found.by_groups else "rows"
    more = "" if found.public else "; public_share in config.json splits the test rows"
    return (
        f"noise of {found.metric}, one standard error: {', '.join(sizes)} "
        f"({found.draws} bootstrap draws of the out-of-fold {drawn} of submission {found.number}{more})"
    )


def advice(advised: Sequence[Recommendation]) -> Table:
    """Submissions and why they are advised, or are not."""
    made = table("number", "name", "cv", "leaderboard", "why")
    for one in advised:
        entry = one.entry
        made.add_row(str(entry.number), entry.name, number(entry.cv), number(entry.leaderboard), one.why)
    return made


def print_send_plan(sending: SendPlan, left: int) -> None:
    """Which submissions are worth one of those left, on stdout, and which are not, on stderr."""
    if sending.worth:
        _console.echo(f"recommended for the {left} submissions left today, best first:")
        _console.console().print(advice(sending.worth), markup=False)
    else:
        _console.echo("no submission on the board is recommended for today")
    for one in sending.others:
        _console.echo(f"  not recommended: {one.entry.number} {one.entry.name}: {one.why}")


def table_of_changes(changes: Sequence[Change], one: str, other: str) -> Table:
    """How many rows change from one answer to another, with some of their ids."""
    made = table("rows", one, other, "such as")
    for change in changes[:MAX_LISTED_IDS]:
        made.add_row(str(len(change.ids)), change.before, change.after, " ".join(change.ids[:3]))
    return made


def table(*headings: str) -> Table:
    """An empty table, its numbers to the right."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    for heading in headings:
        numeric = heading in ("rank", "number", "cv", "leaderboard", "rows")
        made.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    return made


def number(value: float | None) -> str:
    """A score, or nothing where there is none."""
    return "" if value is None else f"{value:.4f}"
