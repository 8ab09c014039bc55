"""Report: the page, its numbers beside it, and the write-up, as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kit.config.workspace import Workspace
from kit.core import files
from kit.core.display import Displayed, frame
from kit.core.files import format_bytes
from kit.core.progress import Work, stage
from kit.errors import ConfigError
from kit.stages.reporting import write_up as story
from kit.stages.reporting.facts import Facts, as_json
from kit.stages.reporting.gathering import gather_facts
from kit.stages.reporting.page import page

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False, eq=False)
class ReportResult(Displayed):
    """A report that was written: its page, its numbers, and the write-up if it was requested."""

    path: Path
    numbers: Path
    write_up: Path | None
    size: int  # bytes of the page
    facts: Facts

    def describe_size(self) -> str:
        """Returns the size of the page and the file of its numbers."""
        return f"{format_bytes(self.size)}; numbers: {self.numbers}"

    def _lines(self) -> Sequence[str]:
        summary = self.facts.summary
        best = [] if summary.cv is None else [f"best: {summary.best}, {summary.metric} {summary.cv:.4f}"]
        steps = [f"next: {step.why}: {step.command}" for step in summary.steps]
        return [f"{self.path}: {self.describe_size()}", *best, *steps]

    def to_frame(self) -> pd.DataFrame:
        """Returns a row per run: its network, folds, state and scores."""
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


@stage
def write_report(
    workspace: Workspace, runs: Sequence[str], out: Path, *, write_up: bool, check: bool, cam: bool
) -> Work[ReportResult]:
    """Writes the page, its numbers beside it, and with `write_up` a summary as Markdown.

    Raises ConfigError C05 for a file that does not end in .html.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{str(out)!r} does not end in .html", code="C05")
    markdown = out.with_suffix(".md") if write_up else None
    if markdown is not None:
        story.check_free(markdown)
    facts = yield from gather_facts.with_progress(workspace, runs, check=check, cam=cam)
    text = page(facts)
    files.write_text(out, text)
    files.write_json(out.with_suffix(".json"), as_json(facts))
    if markdown is not None:
        story.write(markdown, facts)
    return ReportResult(out, out.with_suffix(".json"), markdown, len(text.encode()), facts)
