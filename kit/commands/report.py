"""`kit report`: all that a workspace's files tell, as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kit.commands._console import echo, print_json, show_progress
from kit.core.display import Displayed, frame
from kit.core.files import format_bytes
from kit.core.progress import Work
from kit.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from kit.config.workspace import Workspace
    from kit.stages.reporting.facts import Facts


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN[@VIEWS]]...")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    metavar="FILE.html",
    help="File of the page. The numbers go into the .json beside it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@click.option(
    "--write-up", is_flag=True, help="Also write a summary as Markdown, into the .md beside the page."
)
@click.option("--cam", is_flag=True, help="Show Grad-CAM heat maps of the worst mistakes.")
@click.option("--no-check", is_flag=True, help="Skip the findings of kit check, which may take a minute.")
def command(
    runs: tuple[str, ...], out: Path, as_json: bool, write_up: bool, cam: bool, no_check: bool
) -> None:
    """Write an HTML report of data, runs, mistakes and blends. If a part is missing, the page shows the
    command that creates it.

    The page is one file below 5 MB without external resources. With RUNs it covers only these runs. Single
    rows come from the first RUN with @VIEWS, otherwise from the best run. kit never overwrites an edited
    write-up.

    \b
    kit report
    kit report --no-check --out today.html
    kit report r@hflip s --cam
    kit report --write-up
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise click.BadParameter(f"{str(out)!r} does not end in .html", param_hint="--out")
    from kit.config.workspace import Workspace
    from kit.stages.reporting.facts import as_json as values

    made = show_progress(
        write_report(Workspace.find(), runs, out, write_up=write_up, check=not no_check, cam=cam)
    )
    if made.write_up is not None:
        echo(f"write-up to edit: {made.write_up}")
    echo(made.describe_size())
    if as_json:
        print_json(values(made.facts))
    else:
        click.echo(out)


@dataclass(frozen=True, repr=False, eq=False)
class ReportResult(Displayed):
    """A report that was written: its page, its numbers, and the write-up if that was asked for."""

    path: Path
    numbers: Path
    write_up: Path | None
    size: int  # bytes of the page
    facts: Facts

    def describe_size(self) -> str:
        """The size of the page and the file of its numbers."""
        return f"{format_bytes(self.size)}; numbers: {self.numbers}"

    def _lines(self) -> Sequence[str]:
        summary = self.facts.summary
        best = [] if summary.cv is None else [f"best: {summary.best}, {summary.metric} {summary.cv:.4f}"]
        steps = [f"next: {step.why}: {step.command}" for step in summary.steps]
        return [f"{self.path}: {self.describe_size()}", *best, *steps]

    def to_frame(self) -> pd.DataFrame:
        """A row per run: its network, folds, state and scores."""
        runs = self.facts.runs if isinstance(self.facts.runs, tuple) else ()
        rows = [
            {
                "run": run.name,
                "network": run.network,
                "image_size": run.image_size,
                "epochs": run.epochs,
                "folds": run.folds,
                "state": run.state,
                **run.scores,
            }
            for run in runs
        ]
        return frame(rows, None if rows else ("run", "network", "state"))


def write_report(
    workspace: Workspace, runs: Sequence[str], out: Path, *, write_up: bool, check: bool, cam: bool
) -> Work[ReportResult]:
    """Writes the page, its numbers beside it, and with `write_up` a summary as Markdown.

    Raises ConfigError C05 for a file that does not end in .html.
    """
    from kit.core import files
    from kit.stages.reporting import write_up as story
    from kit.stages.reporting.facts import as_json as values
    from kit.stages.reporting.gathering import gather_facts
    from kit.stages.reporting.page import page

    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{str(out)!r} does not end in .html", code="C05")
    markdown = out.with_suffix(".md") if write_up else None
    if markdown is not None:
        story.check_free(markdown)
    facts = yield from gather_facts.with_progress(workspace, runs, check=check, cam=cam)
    text = page(facts)
    files.write_text(out, text)
    files.write_json(out.with_suffix(".json"), values(facts))
    if markdown is not None:
        story.write(markdown, facts)
    return ReportResult(out, out.with_suffix(".json"), markdown, len(text.encode()), facts)
