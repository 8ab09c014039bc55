"""Finding: one fact about the data before any training, its effect on the score, and a fix."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kit.core.display import frame
from kit.core.files import write_text
from kit.errors import Case, DataError

if TYPE_CHECKING:
    import pandas as pd

Level = Literal["problem", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """A finding. A problem makes scores wrong or stops training, a warning may do so, and a note is information."""

    code: str
    level: Level
    summary: str  # the fact, and its count
    effect: str  # the effect on the score
    fix: str  # a config line or a command
    cases: tuple[Case, ...] = ()


def describe_findings(about: str, findings: Sequence[Finding]) -> list[str]:
    """Returns the number of findings by level, then the summary of each."""
    counts = Counter(finding.level for finding in findings)
    levels = ", ".join(f"{count} {level}{'s' * (count > 1)}" for level, count in counts.items())
    return [
        f"{about}: {levels or 'no findings'}",
        *(f"{one.code} {one.level}: {one.summary}" for one in findings),
    ]


def findings_frame(findings: Iterable[Finding]) -> pd.DataFrame:
    """Returns a row per finding: code, level, summary, effect, fix and number of cases."""
    rows = [
        {
            "code": finding.code,
            "level": finding.level,
            "summary": finding.summary,
            "effect": finding.effect,
            "fix": finding.fix,
            "cases": len(finding.cases),
        }
        for finding in findings
    ]
    return frame(rows, ("code", "level", "summary", "effect", "fix", "cases"))


def check_strictly(findings: Iterable[Finding]) -> None:
    """Raises DataError for findings that are problems or warnings."""
    worse = [finding for finding in findings if finding.level != "note"]
    if worse:
        cases = [f"{finding.code} {finding.level}: {finding.summary}" for finding in worse]
        raise DataError(f"{len(worse)} problems or warnings, and strict is set", cases=cases)


def write_cases(path: Path, findings: Iterable[Finding]) -> None:
    """Writes a CSV of every case of every finding, in the columns of quarantine.csv: code, level, id, split,
    path, detail.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["code", "level", "id", "split", "path", "detail"])
    for finding in findings:
        writer.writerows(
            [finding.code, finding.level, case.id, case.split, case.path, case.detail]
            for case in finding.cases
        )
    write_text(path, text.getvalue())
