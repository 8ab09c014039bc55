"""Prints the result of `kit check --pipeline`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from kit.commands._console import print_json, show_progress

if TYPE_CHECKING:
    from kit.config.workspace import Workspace
    from kit.stages.checks.finding import Finding
    from kit.stages.checks.one_batch.trial import SanityCheckResult


def try_pipeline(workspace: Workspace, as_json: bool, show: Callable[[Finding], None]) -> SanityCheckResult:
    """Runs one batch through the whole pipeline and prints the result."""
    from kit.stages.checks.one_batch.trial import sanity_check

    report = show_progress(sanity_check.with_progress(workspace))
    if as_json:
        print_json(asdict(report))
        return report
    click.echo(f"{len(report.rows)} images of {report.labels}, without mixing and augmentation")
    click.echo(f"  loss of equal outputs     {report.guessing_loss:.4f}")
    click.echo(f"  loss before any step      {report.start_loss:.4f}")
    click.echo(
        f"  loss after {report.steps:3} steps      {report.last_loss:.4f} (lowest possible "
        f"{report.least_loss:.4f})"
    )
    click.echo(f"  predicted correctly       {report.right} of {len(report.rows)}")
    for finding in report.findings:
        show(finding)
    if not report.findings:
        click.echo("reading, augmenting, training and resuming work: no findings")
    return report
