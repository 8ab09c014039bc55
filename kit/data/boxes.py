"""Boxes of rows: the part of each image to use, from columns, or from a detector's file."""

from __future__ import annotations

import json
import math
import posixpath
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.core.locations import JOIN, Box
from kit.data.csv_file import check_ids, is_number, read_csv, unknown_column
from kit.errors import MAX_CASES, Case, ConfigError, DataError, KitWarning, did_you_mean

if TYPE_CHECKING:
    from kit.config.models import Data

Lookup = Callable[[str, str], Box | None]  # returns the box of an id and a file


def find_boxes(
    root: Path, data: Data, columns: Mapping[str, Sequence[str]], ids: Sequence[str], files: Sequence[str]
) -> list[Box | None]:
    """Returns the box of each row, or None for a row without one, whose whole image is used.

    Raises ConfigError C07 if a column or file does not exist. Raises DataError D16 for invalid boxes, and for
    a file of boxes that names none of the rows.
    """
    names = data.box
    if len(names) == 4 or (len(names) == 1 and names[0] in columns):
        return _of_columns(names, columns, ids)
    if len(names) != 1:
        raise ConfigError(
            f"data.box has {len(names)} names",
            code="C07",
            hint="columns of x, y, width and height; one column; or a file of boxes",
        )
    path = root / names[0]
    if path.is_dir():
        of_files = [_of_yolo(path / f"{Path(file).stem}.txt") for file in files]
        return _check_boxes(of_files, [(box,) for box in of_files], ids, str(path))
    if not path.is_file():
        raise ConfigError(
            f"data.box: no column and no file {names[0]!r}{did_you_mean(names[0], columns)}",
            code="C07",
            hint=f"its columns: {', '.join(columns)}",
        )
    if path.suffix.lower() == ".csv":
        return _of_table(path, ids)
    return _of_detector(path, ids, files)


def _of_table(path: Path, ids: Sequence[str]) -> list[Box | None]:
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
    _check_named(path, ids, [name in cells for name in ids])
    shown = [cells.get(name, ("",) * 4) for name in ids]
    return _check_boxes([_numbers(each) for each in shown], shown, ids, str(path))


def _of_columns(
    names: Sequence[str], columns: Mapping[str, Sequence[str]], ids: Sequence[str]
) -> list[Box | None]:
    unknown = [name for name in names if name not in columns]
    if unknown:
        raise unknown_column(unknown[0], columns, "data.box")
    if len(names) == 4:
        rows = list(zip(*(columns[name] for name in names), strict=True))
    else:
        rows = [tuple(cell.strip(" []()").replace(",", " ").split()) for cell in columns[names[0]]]
    return _check_boxes([_numbers(cells) for cells in rows], rows, ids, ", ".join(names))


def _numbers(cells: Sequence[str]) -> Box | None:
    """Returns the box of four numbers or four percentages: None for blank cells, a box of NaN for other cells."""
    if not any(cell.strip() for cell in cells):
        return None
    numbers = [cell.strip().removesuffix("%") for cell in cells]
    is_percent = [cell.strip().endswith("%") for cell in cells]
    if len(cells) != 4 or len(set(is_percent)) > 1 or not all(map(is_number, numbers)):
        return Box.of([math.nan] * 4)
    return Box.of(map(float, numbers), is_percent[0])


def _check_boxes(
    boxes: list[Box | None], shown: Sequence[Any], ids: Sequence[str], where: str
) -> list[Box | None]:
    wrong = [
        Case(f"{' '.join(map(str, cells))!r} is no box of an area", where, name, code="D16")
        for box, cells, name in zip(boxes, shown, ids, strict=True)
        if box is not None
        and not (math.isfinite(box.x + box.y + box.width + box.height) and min(box.width, box.height) > 0)
    ]
    if wrong:
        raise DataError(
            f"{len(wrong)} rows have an invalid box (data.box)",
            code="D16",
            cases=wrong,
            hint="x, y, width and height in pixels, of an area; blank cells use the whole image",
        )
    return boxes


def _of_yolo(file: Path) -> Box | None:
    """Returns the box of the highest confidence in a YOLO text file: class, centre, sides as shares, and
    confidence if any.
    """
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        rows = [[float(number) for number in line[1:6]] for line in lines]
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: not a YOLO file of boxes: {error}", code="D16") from None
    if not rows or min(map(len, rows)) < 4:
        return None
    x, y, wide, tall = max(rows, key=lambda row: row[4] if len(row) > 4 else row[2] * row[3])[:4]
    return Box(100 * (x - wide / 2), 100 * (y - tall / 2), 100 * wide, 100 * tall, is_percent=True)


def _of_detector(path: Path, ids: Sequence[str], files: Sequence[str]) -> list[Box | None]:
    """Returns the boxes of a JSON file of COCO or MegaDetector."""
    try:
        content = json.loads(path.read_bytes())
        found, named = _of_coco(content) if "annotations" in content else _of_megadetector(content)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(
            f"{path}: neither boxes of COCO nor of MegaDetector ({type(error).__name__}: {error})",
            code="D16",
            hint="annotations with image_id and bbox, or images with file and detections",
        ) from None
    boxes = [found(name, file) for name, file in zip(ids, files, strict=True)]
    if ids and not any(boxes):
        raise _names_none(path, ids)
    _check_named(
        path, ids, [name in named or _stem(file) in named for name, file in zip(ids, files, strict=True)]
    )
    return _check_boxes(boxes, [(box,) for box in boxes], ids, str(path))


def _names_none(path: Path, ids: Sequence[str]) -> DataError:
    return DataError(
        f"{path} names none of the {len(ids)} rows",
        code="D16",
        cases=[Case("has no box", str(path), ids[0], code="D16")],
        hint="its image ids or file names must be those of the table",
    )


def _check_named(path: Path, ids: Sequence[str], is_named: Sequence[bool]) -> None:
    """Raises DataError D16 if a file names no row. Warns (W85) of the rows that it does not name."""
    if ids and not any(is_named):
        raise _names_none(path, ids)
    unnamed = [name for name, known in zip(ids, is_named, strict=True) if not known]
    if unnamed:
        shown = ", ".join(map(repr, unnamed[:MAX_CASES]))
        text = (
            f"W85 {path} does not name {len(unnamed)} of {len(ids)} rows, which use the whole image: {shown}"
        )
        warnings.warn(KitWarning(text), stacklevel=5)


def _of_coco(content: Mapping[str, Any]) -> tuple[Lookup, set[str]]:
    """Returns the largest box of each image, and the ids and files that the file names."""
    names = {each["id"]: each["file_name"] for each in content.get("images", ())}
    largest: dict[str, Box] = {}
    for each in content["annotations"]:
        if "bbox" not in each:
            continue
        x, y, wide, tall = map(float, each["bbox"])
        keys = {str(each["image_id"]), _stem(names.get(each["image_id"], each["image_id"]))}
        for key in keys:
            if key not in largest or wide * tall > largest[key].width * largest[key].height:
                largest[key] = Box(x, y, wide, tall)
    named = {*largest, *map(str, names), *map(_stem, names.values())}
    return lambda name, file: largest.get(name) or largest.get(_stem(file)), named


def _of_megadetector(content: Mapping[str, Any]) -> tuple[Lookup, set[str]]:
    """Returns the box of the highest confidence of each image, as shares of its sides, and the files that are named."""
    best: dict[str, Box] = {}
    for each in content["images"]:
        if detections := each.get("detections"):
            shares = max(detections, key=lambda one: float(one["conf"]))["bbox"]
            best[_stem(each["file"])] = Box.of((100 * float(share) for share in shares), is_percent=True)
    named = {_stem(each["file"]) for each in content["images"]}
    return lambda name, file: best.get(name) or best.get(_stem(file)), named


def _stem(name: Any) -> str:
    return posixpath.splitext(posixpath.basename(str(name).split(JOIN)[0]))[0]
