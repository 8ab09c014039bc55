"""Part columns: whether the columns that a sample asks for hold classes of several parts of an answer."""

from __future__ import annotations

from collections.abc import Sequence

from kit.data.csv_file import is_number
from kit.data.part_labels import BLANK
from kit.stages.discovery.file_scan import TableFile


def find_part_columns(train: TableFile, wanted: Sequence[str]) -> bool:
    """Whether all wanted columns are in the training table and hold classes: repeated names, or numbers from 0 up."""
    if len(wanted) < 2 or not set(wanted) <= set(train.columns):
        return False
    return all(_are_classes(train.file.column(name)) for name in wanted)


def _are_classes(cells: Sequence[str]) -> bool:
    """Whether cells are names, most of which repeat, or whole numbers of which none from 0 to the largest is absent."""
    labels = [cell.strip() for cell in cells if cell.strip().lower() not in BLANK]
    known = set(labels)
    if len(known) < 2 or 2 * len(known) > len(labels):
        return False
    if not all(map(is_number, known)):
        return not any(map(is_number, known))
    return {float(name) for name in known} == set(range(len(known)))
