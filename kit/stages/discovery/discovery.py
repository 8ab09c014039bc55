"""The result of discovery: the data section, and sentences that both kinds of findings share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kit.data.row_sources import without_header
from kit.stages.discovery.file_scan import Scan, TableFile
from kit.stages.discovery.near_misses import instead_of_images, near_misses


@dataclass(frozen=True)
class Discovery:
    """`data` is the found section of the config, and `findings` name the role of each file, and why."""

    data: dict[str, Any]
    findings: tuple[str, ...]
    splitter: dict[str, Any] | None = None  # if the folders require one
    rows: int | None = None  # labelled ones, as counted in the table or the folders
    images: int = 0  # of labelled rows and rows to predict
    config: Mapping[str, Any] = field(default_factory=dict)  # keys beside `data` that the images require
    sizes: tuple[tuple[int, int], ...] = ()  # width and height of some images, if they are not image files


def explain_no_match(seen: Scan, sheet: TableFile) -> list[str]:
    """Returns why a table names no image although it nearly does, and what its folder has instead of images,
    in words.
    """
    misses = near_misses(seen, [sheet])
    return [*(f"{miss.case}; {miss.mended}" for miss in misses), *map(str, instead_of_images(seen))]


def count_rows(sheet: TableFile, what: str) -> str:
    return f"{sheet.name}: {len(sheet.file):,} rows, {what}"


def check_headers(sheets: Sequence[TableFile], headless: Mapping[str, str]) -> None:
    """Raises DataError D28 for a used table whose first line is a row of data."""
    for sheet in sheets:
        if headless[sheet.name]:
            raise without_header(sheet.file, headless[sheet.name])
