"""What discovery finds of tables and of folders: the data section, and sentences that both kinds of findings share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kit.data.row_sources import without_header
from kit.stages.discovery.file_scan import Scan, TableFile
from kit.stages.discovery.near_misses import instead_of_images, near_misses


@dataclass(frozen=True)
class Discovery:
    """`data` is the config's section as found, and `findings` say what was taken for what, and why."""

    data: dict[str, Any]
    findings: tuple[str, ...]
    splitter: dict[str, Any] | None = None  # if the folders ask for one
    rows: int | None = None  # labelled ones, as the table or the folders count them
    images: int = 0  # of labelled rows and rows to predict
    config: Mapping[str, Any] = field(default_factory=dict)  # keys beside `data` that the images ask for
    sizes: tuple[tuple[int, int], ...] = ()  # width and height of some images, if they are no image files


def explain_no_match(seen: Scan, sheet: TableFile) -> list[str]:
    """Why a table names no image although it nearly does, in words, and what lies there instead of images."""
    misses = near_misses(seen, [sheet])
    return [*(f"{miss.case}; {miss.mended}" for miss in misses), *map(str, instead_of_images(seen))]


def count_rows(sheet: TableFile, what: str) -> str:
    return f"{sheet.name}: {len(sheet.file):,} rows, {what}"


def check_headers(sheets: Sequence[TableFile], headless: Mapping[str, str]) -> None:
    """Raises DataError D28 for a table in use whose first line is a row of data."""
    for sheet in sheets:
        if headless[sheet.name]:
            raise without_header(sheet.file, headless[sheet.name])
