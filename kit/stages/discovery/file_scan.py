"""Scans a folder: its tables, its image folders, and the columns of tables that name images."""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from kit.core.locations import KEY
from kit.data.bson_tables import BSON
from kit.data.content import ending as ending_of
from kit.data.content import is_image_file, without_ending
from kit.data.csv_file import SEPARATORS, CsvFile, is_json, read_bson_table, read_csv, read_json_table
from kit.data.image_paths import INDEX
from kit.data.json_tables import CATEGORIES, has_bands, has_categories, looks_like_table
from kit.data.spelling import nfc
from kit.errors import DataError
from kit.stages.discovery.containers import Container, SeveralFiles, find_containers, narrow_pixel_tables
from kit.stages.discovery.walking import walk, walk_outside

MIN_MATCHED = 0.9  # of a column's cells must name an image, so that a few missing ones mislead nobody

WAYS = {f"data.sep={mark!r}": mark for mark in SEPARATORS}  # hints of the strict reader
TABLES, JSON = (".csv", ".tsv"), ".json"  # endings
MAX_CELLS_PROBED = 1000  # cells of a column that are looked up, evenly spread


@dataclass(frozen=True, eq=False)
class TableFile:
    """A table of the folder, with its separator and encoding. `name` is its path below the folder."""

    name: str
    file: CsvFile
    sep: str
    encoding: str
    _values: dict[str, set[str]] = field(default_factory=dict, repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns."""
        return self.file.columns

    def values(self, column: str) -> set[str]:
        """Returns the distinct cells of a column, without blank ones."""
        if column not in self._values:
            self._values[column] = {cell for cell in set(self.file.column(column)) if cell.strip()}
        return self._values[column]

    def with_file(self, file: CsvFile) -> TableFile:
        """Returns the table with other cells."""
        return replace(self, file=file, _values={})


SAMPLE_WORDS = ("sample", "submission")  # in the name of a table whose first column has the ids of answers


@dataclass(frozen=True)
class ColumnMatch:
    """A column whose cells name image files, or folders of photos, by a path pattern."""

    column: str
    pattern: str
    covered: float  # share of the cells that name an image
    used: float  # share of the pattern's folder that the cells name
    photos: bool = False
    ending: str = ""  # the most frequent one in the pattern's folder, such as .jpg
    beside: str = ""  # another column, if an image is on several rows that only both columns distinguish


@dataclass(frozen=True)
class Scan:
    """Tables, image files by folder, and a line for each unreadable table."""

    sheets: tuple[TableFile, ...]
    folders: Mapping[str, tuple[str, ...]]
    unreadable: tuple[str, ...] = ()
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # files that are neither, by folder
    # for unread tables, those without a header, and JSONs
    headless: Mapping[str, DataError] = field(default_factory=dict)
    containers: tuple[Container, ...] = ()  # files of many images
    # tables with columns of pixels, by name
    pixel_tables: Mapping[str, Container] = field(default_factory=dict)

    def with_sheets(self, sheets: Iterable[TableFile]) -> Scan:
        """Returns the scan with other tables and the same images."""
        changed = replace(self, sheets=tuple(sheets))
        known: dict[str, Any] = {
            name: self.__dict__[name] for name in ("_homes", "_parents") if name in self.__dict__
        }
        changed.__dict__.update(known)
        return changed

    @cached_property
    def _homes(self) -> dict[str, list[str]]:
        """The folders of each file name, with and without its ending."""
        homes: dict[str, list[str]] = defaultdict(list)
        for folder, names in self.folders.items():
            for name in {nfc(part) for file_name in names for part in (file_name, without_ending(file_name))}:
                homes[name].append(folder)
        return homes

    @cached_property
    def _parents(self) -> dict[str, list[str]]:
        """The folders that hold a folder of images, by that folder's name."""
        parents: dict[str, list[str]] = defaultdict(list)
        for folder in self.folders:
            parents[nfc(posixpath.basename(folder))].append(posixpath.dirname(folder))
        return parents

    def files_below(self, folder: str) -> int:
        """Returns the number of images in a folder and its subfolders."""
        return sum(len(names) for subfolder, names in self.folders.items() if _is_below(subfolder, folder))

    @cached_property
    def _endings(self) -> dict[str, Counter[str]]:
        """The number of images with each ending in each folder; counted once, because each column needs it."""
        return {
            folder: Counter(posixpath.splitext(name)[1].lower() for name in names)
            for folder, names in self.folders.items()
        }

    def ending_below(self, folder: str) -> str:
        """Returns the most frequent ending of the images in a folder and its subfolders; of equals the first
        by the alphabet.
        """
        counts: Counter[str] = Counter()
        for subfolder, endings in self._endings.items():
            if _is_below(subfolder, folder):
                counts.update(endings)
        return min(counts, key=lambda ending: (-counts[ending], ending), default="")

    def folders_below(self, folder: str) -> int:
        """Returns the number of folders with images in a folder."""
        return sum(_is_below(subfolder, folder) and subfolder != folder for subfolder in self.folders)

    def names_image(self, cell: str) -> bool:
        """Whether a cell names an image file, with or without its ending."""
        return next(self._bases(cell, self._homes), None) is not None

    def names_record(self, cell: str) -> bool:
        """Whether a cell is the key of an image in a container."""
        return cell in self._record_keys

    @cached_property
    def _record_keys(self) -> frozenset[str]:
        return frozenset().union(*(container.keys for container in self.containers if container.keys))

    def matches(self, sheet: TableFile) -> list[ColumnMatch]:
        """Returns every way in which a column names images, only for columns of distinct cells, the best way first.

        Equally good ways are in the order of the table's columns, then of the patterns.
        """
        column_matches: list[ColumnMatch] = []
        for column in sheet.columns:
            cells = sheet.file.column(column)
            if len(set(cells)) >= 0.98 * len(cells):  # a few double ids are an error to show, not to hide
                column_matches += self._of_files(sheet, column, cells) or self._of_folders(column, cells)
                column_matches += self._of_containers(column, cells)
        column_matches = (
            column_matches
            or self._of_several_files(sheet)
            or self._of_pixels(sheet)
            or self._of_shared_files(sheet)
        )
        order_of_column = {column: number for number, column in enumerate(sheet.columns)}
        return sorted(
            column_matches,
            key=lambda match: (-match.covered, -match.used, order_of_column[match.column], match.pattern),
        )

    def _of_files(self, sheet: TableFile, column: str, cells: Sequence[str]) -> list[ColumnMatch]:
        bases: Counter[str] = Counter()
        probed = range(0, len(cells), max(len(cells) // MAX_CELLS_PROBED, 1))
        for row in probed:
            bases.update(set(self._bases(cells[row], self._homes)))
        column_matches = [
            ColumnMatch(
                column,
                f"{base}{{{column}}}",
                share,
                share * len(cells) / self.files_below(base),
                ending=self.ending_below(base),
            )
            for base, count in bases.items()
            if (share := count / len(probed)) >= MIN_MATCHED
        ]
        return (
            column_matches
            or self._by_column(sheet, column, cells, probed)
            or self._by_characters(column, cells, probed)
        )

    def _by_column(
        self, sheet: TableFile, column: str, cells: Sequence[str], probed: range
    ) -> list[ColumnMatch]:
        """Returns patterns with a folder named by another column, such as train/{label}/{id}."""
        bases: Counter[tuple[str, str]] = Counter()
        others = {other: sheet.file.column(other) for other in sheet.columns if other != column}
        for row in probed:
            for folder in {base.rstrip("/") for base in self._bases(cells[row], self._homes)}:
                parent, last = posixpath.split(folder)
                bases.update(
                    (parent, other)
                    for other, texts in others.items()
                    if last and nfc(texts[row]) == nfc(last)
                )
        return [
            ColumnMatch(
                column,
                posixpath.join(parent, f"{{{other}}}", f"{{{column}}}"),
                share,
                share * len(cells) / self.files_below(parent),
                ending=self.ending_below(parent),
            )
            for (parent, other), count in bases.items()
            if (share := count / len(probed)) >= MIN_MATCHED
        ]

    def _by_characters(self, column: str, cells: Sequence[str], probed: range) -> list[ColumnMatch]:
        """Returns patterns with folders named by the name's own characters, such as {id[0]}/{id[1]}/{id}."""
        votes: Counter[tuple[str, str]] = Counter()
        for row in probed:
            homes = {base.rstrip("/") for base in self._bases(cells[row], self._homes)}
            votes.update(
                {
                    character
                    for folder in homes
                    for character in split_by_characters(folder, cells[row], column)
                }
            )
        column_matches = [
            ColumnMatch(
                column,
                posixpath.join(parent, folders, f"{{{column}}}"),
                share,
                share * len(cells) / self.files_below(parent),
                ending=self.ending_below(parent),
            )
            for (parent, folders), count in votes.items()
            if (share := count / len(probed)) >= MIN_MATCHED
        ]
        deepest = max((match.pattern.count("/") for match in column_matches), default=0)
        return [match for match in column_matches if match.pattern.count("/") == deepest][:1]

    def _of_folders(self, column: str, cells: Sequence[str]) -> list[ColumnMatch]:
        bases: Counter[str] = Counter()
        for cell in cells:
            bases.update(set(self._bases(cell, self._parents)))
        return [
            ColumnMatch(
                column, f"{base}{{{column}}}/*", share, count / max(self.folders_below(base), 1), True
            )
            for base, count in bases.items()
            if (share := count / len(cells)) >= MIN_MATCHED
        ]

    def _of_containers(self, column: str, cells: Sequence[str]) -> list[ColumnMatch]:
        """Returns the containers whose keys are the cells of a column."""
        different = set(cells)
        return [
            ColumnMatch(
                column,
                container.locate(column),
                share,
                share * len(different) / max(container.records, 1),
                ending=ending_of(container.pattern),
            )
            for container in self.containers
            if container.keys and (share := len(different & container.keys) / len(different)) >= MIN_MATCHED
        ]

    def _of_shared_files(self, sheet: TableFile) -> list[ColumnMatch]:
        """Returns a column of images that occur on several rows, each for another one of the sample's ids."""
        answers = {
            other.columns[0]
            for other in self.sheets
            if other.name != sheet.name and any(word in other.name.lower() for word in SAMPLE_WORDS)
        }
        for column in sheet.columns:
            for beside in answers.intersection(sheet.columns) - {column}:
                cells, owners = sheet.file.column(column), sheet.file.column(beside)
                pairs = set(zip(cells, owners, strict=True))
                if len(pairs) == len(cells) and self.names_image(cells[0]):
                    column_matches = self._of_files(sheet, column, cells)
                    return [
                        replace(match, used=min(match.used, 1.0), beside=beside) for match in column_matches
                    ]
        return []

    def _of_several_files(self, sheet: TableFile) -> list[ColumnMatch]:
        """Returns a column whose cells name several files each, such as one per colour."""
        for column in sheet.columns:
            cells = sheet.file.column(column)
            pattern, share = self._several_files.pattern(column, cells)
            if share >= MIN_MATCHED:
                return [ColumnMatch(column, pattern, share, 1.0, ending=ending_of(pattern))]
        return []

    @cached_property
    def _several_files(self) -> SeveralFiles:
        return SeveralFiles.of(self.folders)

    def _of_pixels(self, sheet: TableFile) -> list[ColumnMatch]:
        """Returns the pixels of a table's own rows if it has labels too, or of another table with the same
        number of rows.
        """
        if own := self.pixel_tables.get(sheet.name):
            labels = [name for name in sheet.columns if 1 < len(sheet.values(name)) < len(sheet.file)]
            return [ColumnMatch(own.key, own.locate(own.key), 1.0, 1.0)] if labels else []
        column_matches = []
        for pixel_sheet in self.sheets:
            other = self.pixel_tables.get(pixel_sheet.name)
            if other is None or pixel_sheet is sheet:
                continue
            first = sheet.columns[0]
            cells = set(sheet.file.column(first))
            key_columns = [
                name for name in pixel_sheet.columns[1:] if set(pixel_sheet.file.column(name)) == cells
            ]
            if key_columns:
                column_matches.append(
                    ColumnMatch(first, f"{other.pattern}{KEY}{key_columns[0]}/{{{first}}}", 1.0, 1.0)
                )
            elif other.records == len(sheet.file):
                column_matches.append(ColumnMatch(first, other.locate(INDEX), 1.0, 1.0))
        return column_matches

    @staticmethod
    def _bases(cell: str, homes: Mapping[str, Sequence[str]]) -> Iterator[str]:
        """Yields the folders, ending in /, below which a cell names something."""
        name = nfc(posixpath.normpath(cell)) if cell.strip() else ""
        for folder in homes.get(posixpath.basename(name), ()) if name else ():
            full = posixpath.join(folder, posixpath.basename(name))
            if f"/{nfc(full)}".endswith(f"/{name}"):
                above = full.split("/")[: -1 - name.count("/")]
                yield "".join(f"{part}/" for part in above)


def split_by_characters(folder: str, name: str, column: str) -> Iterator[tuple[str, str]]:
    """Yields the upper folder and the pattern of the lower ones, if these are consecutive first characters of the name.

    `train/a/b` for the name ab3 gives `train` and `{id[0]}/{id[1]}`, and `a/abc` for abcde gives `a` and `{id[:3]}`.
    """
    names = folder.split("/")
    for depth in range(1, len(names) + 1):
        lower, start, parts = names[-depth:], 0, list[str]()
        for length in lower:
            if not length or name[start : start + len(length)] != length or len(length) >= len(name):
                break
            end = start + len(length)
            parts.append(
                f"{{{column}[{start}]}}" if len(length) == 1 else f"{{{column}[{start or ''}:{end}]}}"
            )
            start = end
        else:
            yield "/".join(names[:-depth]), "/".join(parts)


def _is_below(folder: str, base: str) -> bool:
    base = base.rstrip("/")
    return not base or folder == base or folder.startswith(base + "/")


def scan(
    root: Path,
    extensions: tuple[str, ...],
    sep: str | None = None,
    encoding: str | None = None,
    outside: Sequence[Path] = (),
    skipped: Path | None = None,
) -> Scan:
    """Scans a folder. Hidden folders and a workspace's own are left out, and links are followed once.

    A file is an image by its ending, or else by its content. Tables are read with `sep` and `encoding` if
    they are given, else with those that each file shows. Files and folders `outside` have absolute paths as
    names. The folder `skipped` is left out.
    """
    sheets, folders, unread, others, headless = [], {}, [], {}, {}
    walks = [walk(root, skipped), *(walk_outside(path) for path in outside)]
    for folder, names in chain(*walks):
        prefix = folder + "/" if folder else ""
        images = tuple(
            name
            for name in names
            if name.lower().endswith(extensions) or is_image_file(str(root / f"{prefix}{name}"))
        )
        if images:
            folders[folder] = images
        tables = {
            name
            for name in names
            if (lower := name.lower()).endswith((*TABLES, BSON))
            or (lower.endswith(JSON) and looks_like_table(root / f"{prefix}{name}"))
        }
        containers = {name for name in tables if name.lower().endswith(BSON)}
        rest = tuple(sorted(set(names) - set(images) - (tables - containers)))
        if rest:
            others[folder] = rest
        for name in names:
            if name in tables:
                try:
                    sheets += _sheets(root, prefix + name, sep, encoding)
                except DataError as error:
                    if "has no header" in error.summary or is_json(name):
                        headless[prefix + name] = error
                    hint = f"; try: {error.hint}" if error.hint else ""
                    unread.append(f"{prefix}{name}: {error.code} {error.summary}{hint}")
    narrow, pixels = narrow_pixel_tables(sheets)
    columns = {column for sheet in narrow for column in sheet.columns}
    bands = [sheet.name for sheet in narrow if is_json(sheet.name) and has_bands(root / sheet.name)]
    all_containers = find_containers(root, {**others, "": [*others.get("", ()), *bands]}, columns)
    return Scan(tuple(narrow), folders, tuple(unread), others, headless, tuple(all_containers), pixels)


def _sheets(root: Path, name: str, sep: str | None, encoding: str | None) -> list[TableFile]:
    """Returns the table of a CSV, or those of a JSON: its rows, and the categories of its annotations."""
    if name.lower().endswith(BSON):
        return [TableFile(name, read_bson_table(root / name), "", "utf-8")]
    if not is_json(name):
        return [_sheet(root, name, sep, encoding)]
    rows = read_json_table(root / name)
    names = [name, name + CATEGORIES] if has_categories(rows.columns) else [name]
    files = [rows, *(read_json_table(root / each) for each in names[1:])]
    return [TableFile(each, file, "", "utf-8") for each, file in zip(names, files, strict=True)]


def _sheet(root: Path, name: str, sep: str | None, encoding: str | None) -> TableFile:
    """Reads a table. If separator or encoding are not given, it retries with those that the strict reader suggests."""
    mark, coding = "\t" if sep == r"\t" else sep or ",", encoding or "utf-8"
    for _ in range(3):
        try:
            return TableFile(name, read_csv(root / name, mark, coding), mark, coding)
        except DataError as error:
            if error.code == "D26" and error.hint in WAYS and sep is None:
                mark = WAYS[error.hint]
            elif error.code == "D25" and error.hint.startswith("data.encoding=") and encoding is None:
                coding = error.hint.partition("=")[2]
            else:
                raise
    return TableFile(name, read_csv(root / name, mark, coding), mark, coding)
