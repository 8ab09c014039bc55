"""kit check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kit.commands._console import echo, print_json, show_progress
from kit.commands._pipeline import try_pipeline
from kit.core.legible import escape_control

if TYPE_CHECKING:
    from kit.config.workspace import Workspace
    from kit.stages.checks.check import CheckResult
    from kit.stages.checks.finding import Finding

COLOURS = {"problem": "red", "warning": "yellow", "note": None}


@click.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--pipeline",
    is_flag=True,
    help="Sanity-check on one batch: every part learns, and training resumes exactly.",
)
@click.option("--strict", is_flag=True, help="Exit with status 3 for warnings too.")
@click.option("--json", "as_json", is_flag=True, help="Print all findings and cases as JSON.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write all cases of all findings to a CSV.")
@click.option(
    "--runs", multiple=True, metavar="RUN", help="Runs whose out-of-fold predictions show label errors."
)
@click.option("--checkpoints", multiple=True, metavar="PATH", help="Runs whose networks embed the images.")
@click.pass_context
def command(
    context: click.Context,
    overrides: tuple[str, ...],
    pipeline: bool,
    strict: bool,
    as_json: bool,
    csv_file: str | None,
    runs: tuple[str, ...],
    checkpoints: tuple[str, ...],
) -> None:
    """Check tables, images and labels before training. It finds data that stops training, leaks that make the
    CV score optimistic, and differences between training and test rows.

    Each finding shows its effect on the score and a fix for the config. Images are decoded into the cache,
    and training reuses them. Probable label errors come from out-of-fold predictions, by default those of the
    best run. The exit status is 3 if there is a problem, otherwise 0.

    \b
    kit check
    kit check splitter=stratified_group_kfold data.group=person
    kit check --runs runs/r --runs runs/s@d4 --csv cases.csv
    kit check --checkpoints runs/r
    kit check --json > findings.json
    kit check --pipeline loss=arcface pooling=gem
    """
    from kit.config.workspace import Workspace
    from kit.stages.checks.finding import write_cases

    workspace = Workspace.find(".", overrides)
    result = (
        try_pipeline(workspace, as_json, _show) if pipeline else _look(workspace, runs, checkpoints, as_json)
    )
    if csv_file is not None:
        write_cases(Path(csv_file), result.findings)
    warned = any(finding.level == "warning" for finding in result.findings)
    if result.problems or (strict and warned):
        echo(
            f"{result.problems} problem{'s' * (result.problems > 1)}; kit explain CODE describes each code"
            if result.problems
            else "there are warnings, and --strict is set"
        )
        context.exit(3)


def _look(
    workspace: Workspace, runs: tuple[str, ...], checkpoints: tuple[str, ...], as_json: bool
) -> CheckResult:
    """Checks tables and images, and prints the findings."""
    from dataclasses import asdict

    from kit.stages.checks.check import run_checks
    from kit.stages.checks.last_findings import save_findings

    result = show_progress(run_checks.with_progress(workspace, runs, checkpoints))
    save_findings(workspace.root, result.folds, result.findings)
    if as_json:
        print_json(asdict(result))
        return result
    click.echo(f"{result.train} training rows of {result.labels}, {result.test} test rows")
    for finding in result.findings:
        _show(finding)
    if not result.findings:
        click.echo("no findings")
    return result


def _show(finding: Finding) -> None:
    from kit.errors import format_cases

    click.echo()
    click.secho(
        escape_control(f"{finding.code} {finding.level}: {finding.summary}"), fg=COLOURS[finding.level]
    )
    for line in [*format_cases(finding.cases), f"  effect: {finding.effect}", f"  fix: {finding.fix}"]:
        click.echo(escape_control(line))
