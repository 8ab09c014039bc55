"""Box names: finds names of a file of boxes that belong to no row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kit.config.models import Data
from kit.data.boxes import names_without_row
from kit.data.table import Table
from kit.errors import Case
from kit.stages.checks.finding import Finding


def check_box_names(root: Path, data: Data, train: Table, test: Table) -> Iterator[Finding]:
    """Yields K50 for ids or files in the file of `data.box` that neither table has."""
    unknown, count = names_without_row(root, data, (train, test))
    if unknown:
        yield Finding(
            "K50",
            "warning",
            f"{len(unknown)} of {count} names in {data.box[0]} belong to no training or test row",
            "their boxes are not used; if they mean rows of the tables, kit reads these whole",
            "compare them with the ids and file names of the tables; nothing, if they are other images",
            tuple(Case("no row", id=name) for name in unknown),
        )
