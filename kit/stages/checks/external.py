"""External: rows of other sources, which train and are never scored, and which a write-up must name."""

from __future__ import annotations

from collections.abc import Iterator

from kit.data.table import Table
from kit.errors import Case
from kit.stages.checks.finding import Finding


def check_external_sources(train: Table) -> Iterator[Finding]:
    """Yields K12, a note; a warning if a source has no licence or no origin."""
    sources = train.external_rows()
    if not sources:
        return
    rows = sum(source.rows for source in sources)
    silent = sorted({source.name for source in sources if not source.licence or not source.origin})
    yield Finding(
        "K12",
        "warning" if silent else "note",
        f"{rows} rows are from {len({source.name for source in sources})} external sources"
        + (f", {len(silent)} of them without licence or origin" if silent else ""),
        "they are trained on and never scored; winners must name them in the write-up, with licence and "
        "origin",
        f"add the columns licence and origin for {', '.join(silent)}"
        if silent
        else "nothing: kit runs show lists them",
        tuple(Case(str(source), source.name) for source in sources),
    )
