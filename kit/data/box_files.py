"""Files of boxes: a CSV of ids, JSON of COCO or MegaDetector, or a folder of YOLO files; and which rows they name."""

from __future__ import annotations

import json
import math
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

from kit.core.locations import JOIN, Box
from kit.data.csv_file import check_ids, is_number, read_csv
from kit.errors import MAX_CASES, Case, DataError


@dataclass(frozen=True)
class BoxEntry:
    """One name of a file of boxes: an id, the file of an image, or both."""

    id: str
    file: str = ""  # as the detector wrote it; empty if the entry has an id only


@dataclass(frozen=True)
class BoxFile:
    """The names of a file of boxes. `box(entry)` reads the box of an entry, None for an entry without one."""

    path: Path
    entries: tuple[BoxEntry, ...]
    box: Callable[[BoxEntry], Box | None]
    cells: Mapping[str, Sequence[str]] | None = None  # of a CSV, by id, for messages

    @cached_property
    def _by_stem(self) -> dict[str, list[BoxEntry]]:
        entries_by_stem: dict[str, list[BoxEntry]] = {}
        for entry in self.entries:
            if entry.file:
                entries_by_stem.setdefault(_parts(entry.file)[0], []).append(entry)
        return entries_by_stem

    def find(self, ids: Sequence[str], files: Sequence[str]) -> list[BoxEntry | None]:
        """Returns the entry of each row, by the file of its image. Ids decide if no file is known, and for entries
        without a file.

        Raises DataError D16 if it names none of the rows, or if a name may mean several of them.
        """
        by_file = self._match_files(files)
        by_id = {entry.id: entry for entry in self.entries if not (by_file and entry.file)}
        entries = [by_file.get(file) or by_id.get(name) for name, file in zip(ids, files, strict=True)]
        if ids and not any(entries):
            raise self._names_none(ids)
        return entries

    def unknown(self, ids: Sequence[str], files: Sequence[str]) -> list[str]:
        """Returns the names that are neither the id nor the file of one of the rows."""
        known, stems = set(ids), {_parts(file)[0] for file in files}
        extra = [
            entry
            for entry in self.entries
            if entry.id not in known and not (entry.file and _parts(entry.file)[0] in stems)
        ]
        return [entry.file or entry.id for entry in extra if self._is_of_boxes(entry)]

    def _is_of_boxes(self, entry: BoxEntry) -> bool:
        """Returns False for a text file beside YOLO files that holds no boxes, such as classes.txt."""
        try:
            return not self.path.is_dir() or self.box(entry) is not None
        except DataError:
            return False

    def _names_none(self, ids: Sequence[str]) -> DataError:
        mine = ", ".join(repr(entry.file or entry.id) for entry in self.entries[:MAX_CASES])
        theirs = ", ".join(map(repr, ids[:MAX_CASES]))
        return DataError(
            f"{self.path} names none of the {len(ids)} rows",
            code="D16",
            cases=[Case(f"it names {mine or 'nothing'}; the rows are {theirs}", str(self.path), code="D16")],
            hint="its ids or file names must be those of the table",
        )

    def _match_files(self, files: Sequence[str]) -> dict[str, BoxEntry]:
        """Returns the entry of each file: the one that agrees in most folders from the end. Raises DataError D16."""
        rows: dict[str, list[str]] = {}
        for file in dict.fromkeys(files):
            if (stem := _parts(file)[0]) in self._by_stem:
                rows.setdefault(stem, []).append(file)
        entry_of_file: dict[str, BoxEntry] = {}
        for stem, same in rows.items():
            entries = self._by_stem[stem]
            if len(same) == len(entries) == 1:
                entry_of_file[same[0]] = entries[0]
                continue
            for file in same:
                depths = [_common(entry.file, file) for entry in entries]
                best = [entry for entry, depth in zip(entries, depths, strict=True) if depth == max(depths)]
                rivals = [_common(best[0].file, other) for other in same if other != file]
                if len(best) > 1 or max(rivals, default=0) == max(depths):
                    raise DataError(
                        f"{self.path}: {best[0].file!r} may be the image of several rows",
                        code="D16",
                        cases=[Case("has this name", file_name, code="D16") for file_name in same],
                        hint="paths with the folders of the images, or a CSV of id, x, y, width and height",
                    )
                if max(rivals, default=0) < max(depths):
                    entry_of_file[file] = best[0]
        return entry_of_file


def open_box_file(path: Path) -> BoxFile:
    """Returns the names and boxes of a file or folder. Raises DataError D16 for other content."""
    if path.is_dir():
        files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*.txt"))
        entries = tuple(BoxEntry(_parts(file)[0], file) for file in files)
        return BoxFile(path, entries, lambda entry: _of_yolo(path / entry.file))
    if path.suffix.lower() == ".csv":
        return _open_csv(path)
    try:
        content = json.loads(path.read_bytes())
        boxes = _of_coco(content) if "annotations" in content else _of_megadetector(content)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError(
            f"{path}: neither boxes of COCO nor of MegaDetector ({type(error).__name__}: {error})",
            code="D16",
            hint="annotations with image_id and bbox, or images with file and detections",
        ) from None
    return BoxFile(path, tuple(boxes), boxes.__getitem__)


def _open_csv(path: Path) -> BoxFile:
    """Returns the boxes of a CSV: the id, x, y, width and height, in pixels or as percentages such as 12.5%."""
    file = read_csv(path, fixed="save the boxes as CSV in UTF-8, with commas")
    if len(file.columns) != 5:
        raise DataError(
            f"{path} has {len(file.columns)} columns: {', '.join(file.columns)}",
            code="D16",
            hint="five columns: the id, x, y, width and height",
        )
    check_ids([row[0] for row in file.rows], file.lines, path, "boxes")
    cells = {row[0]: row[1:] for row in file.rows}
    return BoxFile(path, tuple(map(BoxEntry, cells)), lambda entry: read_box(cells[entry.id]), cells)


def read_box(cells: Sequence[str]) -> Box | None:
    """Returns the box of four numbers or four percentages: None for blank cells, a box of NaN for other cells."""
    if not any(cell.strip() for cell in cells):
        return None
    numbers = [cell.strip().removesuffix("%") for cell in cells]
    is_percent = [cell.strip().endswith("%") for cell in cells]
    if len(cells) != 4 or len(set(is_percent)) > 1 or not all(map(is_number, numbers)):
        return Box.of([math.nan] * 4)
    return Box.of(map(float, numbers), is_percent[0])


def _of_yolo(file: Path) -> Box | None:
    """Returns the box of the highest confidence in a YOLO text file: class, centre, sides as shares, and
    confidence if any.
    """
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        rows = [[float(number) for number in line[1:6]] for line in lines]
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: not a YOLO file of boxes: {error}", code="D16") from None
    if not rows or min(map(len, rows)) < 4:
        return None
    x, y, wide, tall = max(rows, key=lambda row: row[4] if len(row) > 4 else row[2] * row[3])[:4]
    return Box(100 * (x - wide / 2), 100 * (y - tall / 2), 100 * wide, 100 * tall, is_percent=True)


def _of_coco(content: Mapping[str, Any]) -> dict[BoxEntry, Box | None]:
    """Returns the largest box of each image."""
    names = {str(annotation["id"]): str(annotation["file_name"]) for annotation in content.get("images", ())}
    largest: dict[str, Box | None] = dict.fromkeys(names)
    for annotation in content["annotations"]:
        if "bbox" not in annotation:
            continue
        box, name = Box.of(map(float, annotation["bbox"])), str(annotation["image_id"])
        known = largest.get(name)
        if known is None or box.width * box.height > known.width * known.height:
            largest[name] = box
    if names:
        return {BoxEntry(name, names.get(name, "")): box for name, box in largest.items()}
    # without images, an image_id may be the name of a file
    return {BoxEntry(name, name): box for name, box in largest.items()}


def _of_megadetector(content: Mapping[str, Any]) -> dict[BoxEntry, Box | None]:
    """Returns the box of the highest confidence of each image, as shares of its sides."""
    best: dict[BoxEntry, Box | None] = {}
    for image in content["images"]:
        entry = BoxEntry(_parts(image["file"])[0], str(image["file"]))
        best[entry] = None
        if detections := image.get("detections"):
            shares = max(detections, key=lambda detection: float(detection["conf"]))["bbox"]
            best[entry] = Box.of((100 * float(share) for share in shares), is_percent=True)
    return best


def _parts(file: str) -> list[str]:
    """Returns the name of a row's first file without its ending, and its folders from the last to the first."""
    first = file.split(JOIN)[0].replace("\\", "/")
    *folders, name = (part for part in first.split("/") if part not in ("", "."))
    return [posixpath.splitext(name)[0], *reversed(folders)]


def _common(one: str, other: str) -> int:
    """Returns the number of names and folders, counted from the end, in which two paths agree."""
    pairs = zip(_parts(one), _parts(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
