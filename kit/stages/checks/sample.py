"""Sample: finds what in the sample submission would stop `kit blend` after training."""

from __future__ import annotations

from collections.abc import Iterator

from kit.config.workspace import Workspace
from kit.data.table import Table
from kit.experiment.sample_fit import misfits
from kit.stages.checks.finding import Finding


def of_fit(workspace: Workspace, train: Table, test: Table) -> Iterator[Finding]:
    """Yields K42 for rows to predict that are not the sample's, K43 for a sample that does not fit the classes."""
    for misfit in misfits(workspace, train, test):
        yield Finding(
            "K42" if misfit.about == "rows" else "K43",
            "problem",
            misfit.summary,
            "kit blend stops with this error and writes no submission",
            misfit.hint,
            misfit.cases,
        )
