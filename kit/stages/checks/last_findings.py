"""LastFindings: checked.json, the last findings of kit check, by which the board explains a gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from kit.core.files import read_json, write_json
from kit.errors import MAX_CASES, Case
from kit.stages.checks.finding import Finding

FINDINGS_FILE = "checked.json"


@dataclass(frozen=True)
class LastFindings:
    """Findings, each with its first cases. `folds` is the fingerprint of the folds that were checked."""

    checked_at: str  # ISO 8601, UTC
    folds: str
    findings: tuple[Finding, ...]


def save_findings(root: Path, folds: str, findings: Sequence[Finding]) -> None:
    """Writes checked.json into the workspace."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    short = [asdict(replace(finding, cases=finding.cases[:MAX_CASES])) for finding in findings]
    write_json(root / FINDINGS_FILE, {"made": now, "folds": folds, "findings": short})


def last_findings(root: Path) -> LastFindings | None:
    """Returns the last findings of kit check; None if it never ran, or if its file is damaged."""
    try:
        read = read_json(root / FINDINGS_FILE)
        findings = [
            Finding(**{**finding, "cases": tuple(Case(**case) for case in finding["cases"])})
            for finding in read["findings"]
        ]
        return LastFindings(str(read["made"]), str(read["folds"]), tuple(findings))
    except (OSError, ValueError, KeyError, TypeError):
        return None
