"""Finds a table of index images, which a submission ranks for each test row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kit.data.csv_file import is_number
from kit.stages.discovery import roles
from kit.stages.discovery.file_scan import ColumnMatch, Scan, TableFile

INDEX = frozenset({"index", "gallery", "database"})
MAX_CELLS = 200  # cells of the sample that are checked


@dataclass(frozen=True)
class IndexTable:
    """The findings about an index: a line on how to use it, and the keys of the config that the submission needs."""

    findings: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)


def find_index(
    seen: Scan,
    matched: Mapping[str, Sequence[ColumnMatch]],
    used: Sequence[TableFile],
    sample: TableFile | None,
) -> IndexTable:
    """Returns the table of index images that has no other role, by its name or because the sample names its ids."""
    for sheet in seen.sheets:
        matches = matched[sheet.name]
        if sheet in used or not matches:
            continue
        wanted = _format_of_ids(sample, sheet)
        if not (wanted or roles.words(sheet.name) & INDEX):
            continue
        text = f"{sheet.name}: {len(sheet.file):,} index images, {matches[0].pattern}; kit embed --checkpoints RUN "
        text += f"--index {sheet.name} --index-images '{matches[0].pattern}', "
        text += f"then kit retrieve RUN --index {sheet.name}"
        if wanted == "image_rows" and sample is not None:
            text += f" --at-most {_most_rows(sample)}"
        return IndexTable((text,), {"format": {"name": wanted, "images": "other"}} if wanted else {})
    return IndexTable()


def _format_of_ids(sample: TableFile | None, sheet: TableFile) -> str:
    """Returns the format of a sample whose second column has ids of a table's first column; empty if it has none.

    With two columns, a cell may have several ids, separated by spaces. With three, the last one has a score
    from 0 to 1.
    """
    if sample is None or len(sample.columns) not in (2, 3):
        return ""
    known = set(sheet.file.column(sheet.columns[0]))
    cells = sample.file.column(sample.columns[1])[:MAX_CELLS]
    if len(sample.columns) == 3:
        scores = sample.file.column(sample.columns[2])[:MAX_CELLS]
        numbers = all(is_number(cell) and 0 <= float(cell) <= 1 for cell in scores)
        return "image_rows" if cells and numbers and known.issuperset(cells) else ""
    are_ids = bool(cells) and all(cell.strip() and known.issuperset(cell.split(" ")) for cell in cells)
    return "id_list" if are_ids else ""


def _most_rows(sample: TableFile) -> int:
    return max(Counter(sample.file.column(sample.columns[0])).values())
