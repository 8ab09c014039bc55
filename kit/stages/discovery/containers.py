"""Containers: files with many images, the keys of their records, and tables whose rows are the pixels."""

from __future__ import annotations

import json
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kit.core.locations import KEY
from kit.data.content import ending
from kit.data.csv_file import CsvFile, is_number
from kit.data.image_paths import INDEX
from kit.data.pixel_columns import longest_series
from kit.errors import KitError
from kit.kinds import Reader

if TYPE_CHECKING:
    from kit.stages.discovery.file_scan import TableFile

READERS = ("bson", "hdf5", "parquet", "table", "tfrecord")  # readers of files with keys
MAX_PARTS = 64  # files of one name with numbers that are the parts of a container; more are an image each
MIN_PIXELS = 64  # minimum numbers in each of some cells that are taken for pixels
PROBED_ROWS = 5
STROKES = "strokes"  # reader of drawings
_STROKE = re.compile(r"\s*(\[\s*){3}-?\d[\d.,\s-]*\]\s*,\s*\[")  # [[[x, ...], [
_NUMBERS = r"\d+(-(of-)?\d+)*(?=\.[a-z0-9]+$)"  # of a part: 3, 03-2071 or 00003-of-00016


@dataclass(frozen=True, eq=False)
class Container:
    """Files of records: their pattern, the prefix of a key, and the keys. None: the key is a row's number."""

    pattern: str
    before: str = ""
    keys: frozenset[str] | None = None
    records: int = 0
    columns: tuple[str, ...] = ()  # of pixels, if the reader does not find them itself
    reader: str = ""  # by default that of the files' ending
    key: str = INDEX  # the column of a row's key

    def locate(self, column: str) -> str:
        """Returns the pattern of a row's image, by the column of its key."""
        return f"{self.pattern}{KEY}{self.before}{{{column}}}"


def narrow_pixel_tables(
    sheets: Sequence[TableFile],
) -> tuple[list[TableFile], dict[str, Container]]:
    """Returns the tables without columns of pixels, with a column `index` instead, and those tables as
    containers by name.
    """
    narrow, containers = [], {}
    for sheet in sheets:
        drawings = _drawings(sheet)
        columns, option = (drawings, drawings) if drawings else _pixels(sheet)
        if not columns:
            narrow.append(sheet)
            continue
        containers[sheet.name] = Container(
            sheet.name, "", None, len(sheet.file), option, STROKES if drawings else ""
        )
        narrow.append(replace(sheet, file=_without(sheet.file, set(columns))))
    return narrow, containers


def _pixels(sheet: TableFile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the columns of pixels of a table, and the reader's option that names them; empty for other tables."""
    series = longest_series(sheet.columns)
    probe = sheet.file.rows[:PROBED_ROWS]
    index_of = {name: number for number, name in enumerate(sheet.columns)}
    if len(series) >= MIN_PIXELS and all(is_number(row[index_of[name]]) for row in probe for name in series):
        return series, ()
    cells = [
        name
        for name in sheet.columns
        if all(
            len(row[index_of[name]]) >= 2 * MIN_PIXELS and _is_pixels(row[index_of[name]]) for row in probe
        )
    ]
    return tuple(cells), tuple(cells)


def _drawings(sheet: TableFile) -> tuple[str, ...]:
    """Returns the columns whose cells are strokes."""
    probe = sheet.file.rows[:PROBED_ROWS]
    return tuple(
        name
        for index, name in enumerate(sheet.columns)
        if probe and all(_is_drawing(row[index]) for row in probe)
    )


def _is_drawing(cell: str) -> bool:
    """Whether a cell has strokes; polygons, whose points are pairs, are not strokes."""
    if not _STROKE.match(cell):
        return False
    try:
        strokes = json.loads(cell)
        lengths = [{len(places) for places in stroke} for stroke in strokes]
    except (ValueError, TypeError, RecursionError):
        return False
    return all(
        len(stroke) in (2, 3) and len(length) == 1 for stroke, length in zip(strokes, lengths, strict=True)
    ) and (max(map(max, lengths)) > 3)


def _is_pixels(cell: str) -> bool:
    numbers = re.split(r"[\s,]+", cell.strip().strip("[]"))
    return len(numbers) >= MIN_PIXELS and all(map(is_number, numbers[:MIN_PIXELS]))


def _without(file: CsvFile, columns: set[str]) -> CsvFile:
    columns_kept = [number for number, name in enumerate(file.columns) if name not in columns]
    rows = tuple(
        (str(number), *(row[index] for index in columns_kept)) for number, row in enumerate(file.rows)
    )
    return replace(file, columns=(INDEX, *(file.columns[index] for index in columns_kept)), rows=rows)


def find_containers(root: Path, others: Mapping[str, Sequence[str]], columns: set[str]) -> list[Container]:
    """Returns the files with many records with keys; `columns` are names of the tables' columns."""
    by_pattern: dict[str, list[str]] = defaultdict(list)
    for folder, names in others.items():
        for name in names:
            by_pattern[re.sub(_NUMBERS, "*", posixpath.join(folder, name))].append(
                posixpath.join(folder, name)
            )
    containers = []
    for name in READERS:
        reader = Reader.open(name)
        for pattern, files in by_pattern.items():
            if ending(pattern) not in reader.endings or len(files) > MAX_PARTS:
                continue
            paths = [root / file for file in files]
            with suppress(KitError, OSError, ImportError):
                pattern_or_file = pattern if len(files) > 1 else files[0]
                containers += [
                    Container(pattern_or_file, before, keys, len(keys))
                    for before, keys in reader.find_keys(paths, columns)
                ]
    return containers


@dataclass(frozen=True)
class SeveralFiles:
    """Image files whose names are an id and one of some suffixes, such as `_red.png`, by id."""

    by_id: Mapping[str, frozenset[tuple[str, str]]]  # folder and ending

    @classmethod
    def of(cls, folders: Mapping[str, Sequence[str]]) -> SeveralFiles:
        """Returns the files of these folders."""
        files_by_key: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for folder, names in folders.items():
            for name in names:
                if match := re.fullmatch(r"(.+)([_-][A-Za-z]*\d{0,2}\.\w+)", name):
                    files_by_key[match[1]].add((folder, match[2]))
        return cls({key: frozenset(files) for key, files in files_by_key.items() if len(files) > 1})

    def pattern(self, column: str, cells: Sequence[str]) -> tuple[str, float]:
        """Returns the pattern by which a column names several files of each row, and the share of cells that
        it fits.
        """
        counts: Counter[frozenset[tuple[str, str]]] = Counter(
            self.by_id[cell] for cell in cells if cell in self.by_id
        )
        if not counts:
            return "", 0.0
        files, count = counts.most_common(1)[0]
        ordered = sorted(files, key=lambda file: (_COLOURS.get(_word(file[1]), 9), file))
        paths = (posixpath.join(folder, f"{{{column}}}{name}") for folder, name in ordered)
        return " | ".join(paths), count / len(cells)


_COLOURS = {"red": 0, "r": 0, "green": 1, "g": 1, "blue": 2, "b": 2, "yellow": 3, "y": 3}


def _word(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.partition(".")[0].lower())
