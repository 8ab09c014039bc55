"""Kept: checked.json, what kit check found last, so that the board can say of a gap what there is evidence for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from kit.core.files import read_json, write_json
from kit.errors import SHOWN, Case
from kit.stages.checks.finding import Finding

NAME = "checked.json"


@dataclass(frozen=True)
class Kept:
    """Findings, each with its first cases; `folds` is the fingerprint of the folds that they are about."""

    made: str  # ISO 8601, UTC
    folds: str
    findings: tuple[Finding, ...]


def keep(root: Path, folds: str, findings: Sequence[Finding]) -> None:
    """Writes checked.json into the workspace."""
    made = datetime.now(UTC).isoformat(timespec="seconds")
    short = [asdict(replace(finding, cases=finding.cases[:SHOWN])) for finding in findings]
    write_json(root / NAME, {"made": made, "folds": folds, "findings": short})


def kept(root: Path) -> Kept | None:
    """What kit check found last; None where it has not looked, or its file is damaged."""
    try:
        read = read_json(root / NAME)
        findings = [
            Finding(**{**each, "cases": tuple(Case(**case) for case in each["cases"])})
            for each in read["findings"]
        ]
        return Kept(str(read["made"]), str(read["folds"]), tuple(findings))
    except (OSError, ValueError, KeyError, TypeError):
        return None
