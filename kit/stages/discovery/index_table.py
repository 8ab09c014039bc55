"""Finds a table of index images: those that a submission names for each test row, most similar first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kit.stages.discovery import roles
from kit.stages.discovery.file_scan import ColumnMatch, Scan, TableFile

INDEX = frozenset({"index", "gallery", "database"})
MAX_CELLS = 200  # cells of the sample that are looked at


@dataclass(frozen=True)
class IndexTable:
    """What was found of an index: a line on how to use it, and the keys of the config that the submission needs."""

    findings: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)


def find_index(
    seen: Scan,
    matched: Mapping[str, Sequence[ColumnMatch]],
    used: Sequence[TableFile],
    sample: TableFile | None,
) -> IndexTable:
    """The table of index images that is in no other use, by its name or because the sample names its ids."""
    for sheet in seen.sheets:
        found = matched[sheet.name]
        if sheet in used or not found:
            continue
        wanted = _names_ids_of(sample, sheet)
        if not (wanted or roles.words(sheet.name) & INDEX):
            continue
        text = f"{sheet.name}: {len(sheet.file):,} index images, {found[0].pattern}; kit embed --checkpoints RUN "
        text += f"--index {sheet.name} --index-images '{found[0].pattern}', then kit retrieve RUN --index {sheet.name}"
        shape = {"format": {"name": "id_list", "images": "other"}}
        return IndexTable((text,), shape if wanted else {})
    return IndexTable()


def _names_ids_of(sample: TableFile | None, sheet: TableFile) -> bool:
    """Whether the cells of a sample of two columns are ids of a table's first column, separated by spaces."""
    if sample is None or len(sample.columns) != 2:
        return False
    known = set(sheet.file.column(sheet.columns[0]))
    cells = sample.file.column(sample.columns[1])[:MAX_CELLS]
    return bool(cells) and all(cell.strip() and known.issuperset(cell.split(" ")) for cell in cells)
