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

    found = show_progress(sanity_check.with_progress(workspace))
    if as_json:
        print_json(asdict(found))
        return found
    click.echo(f"{len(found.rows)} images of {found.labels}, without mixing and augmentation")
    click.echo(f"  loss of equal outputs     {found.guessing_loss:.4f}")
    click.echo(f"  loss before any step      {found.start_loss:.4f}")
    click.echo(
        f"  loss after {found.steps:3} steps      {found.last_loss:.4f} (lowest possible "
        f"{found.least_loss:.4f})"
    )
    click.echo(f"  predicted correctly       {found.right} of {len(found.rows)}")
    for finding in found.findings:
        show(finding)
    if not found.findings:
        click.echo("reading, augmenting, training and resuming work: no findings")
    return found
