"""quarantine.csv: lists every image and row that could not be used."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from kit.core.files import write_text
from kit.errors import Case

QUARANTINE_FILE = "quarantine.csv"


def quarantine(root: Path, cases: Sequence[Case], code: str = "") -> Path:
    """Writes path, id, split, code and detail of each case. `code` is for cases without their own."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "id", "split", "code", "detail"])
    writer.writerows([case.path, case.id, case.split, case.code or code, case.detail] for case in cases)
    write_text(root / QUARANTINE_FILE, text.getvalue())
    return root / QUARANTINE_FILE
