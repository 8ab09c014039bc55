"""Finding: one thing that the data say before any training, what it does to a score, and what answers it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kit.core.files import write_text
from kit.errors import Case

Level = Literal["problem", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """A problem makes scores wrong or stops training, a warning may, a note is worth knowing."""

    code: str
    level: Level
    summary: str  # what, and how many
    effect: str  # what it does to the score
    answer: str  # a config line or a command
    cases: tuple[Case, ...] = ()


def write_cases(path: Path, findings: Iterable[Finding]) -> None:
    """Writes a CSV of every case of every finding, as quarantine.csv has them: code, level, id, split, path, detail."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["code", "level", "id", "split", "path", "detail"])
    for finding in findings:
        writer.writerows(
            [finding.code, finding.level, case.id, case.split, case.path, case.detail]
            for case in finding.cases
        )
    write_text(path, text.getvalue())
