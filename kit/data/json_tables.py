"""JSON files as tables: COCO's images with their annotations and categories, or a list of flat objects."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kit.data.encodings import BOM
from kit.data.pixel_columns import MIN_SERIES
from kit.errors import Case, DataError

Object = Mapping[str, Any]
Rows = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]  # columns, and cells by row
CATEGORIES = "#categories"  # after a file's name: its categories instead of its images
HEAD_BYTES = 2**20  # characters of a file within which a list's first object must end
IMAGE_KEYS, CATEGORY_KEYS = ("id", "image_id"), ("id", "category_id")
LABEL_SEPARATOR, NAME_SEPARATOR = " ", "|"  # of the category ids and the names of an image with several
IMAGES = re.compile(rb'"images"\s*:\s*\[')


def read_json_rows(path: Path) -> Rows:
    """Returns the columns and the cells of a JSON file's table.

    `FILE.json#categories` are the categories of a COCO file.

    Raises DataError: D21 if the file does not exist, D24 for duplicate ids, D29 without rows, D80 for another
    structure, and for annotations of images or categories that do not exist.
    """
    name = str(path)
    if name.endswith(CATEGORIES):
        file = Path(name.removesuffix(CATEGORIES))
        content = _content(file)
        if not isinstance(content, Mapping) or "categories" not in content:
            raise _unusable(file, "it has no list of categories")
        return _table(path, _category_rows(file, content["categories"]))
    content = _content(path)
    if isinstance(content, list):
        return _table(path, [_flat(record) for record in _objects(path, content, "the list")])
    if not isinstance(content, Mapping) or "images" not in content:
        raise _unusable(
            path, "it is neither COCO JSON (images, annotations, categories) nor a list of objects"
        )
    return _table(path, _image_rows(path, content))


def looks_like_table(path: Path) -> bool:
    """Whether a JSON file holds COCO's images or a list of flat objects, by its start if that is enough."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
            if start == b"{":
                return bool(
                    IMAGES.search(head) or (len(head) == HEAD_BYTES and IMAGES.search(head + file.read()))
                )
    except OSError:
        return False
    return start == b"[" and _begins_with_a_flat_object(head.decode("utf-8", "replace"))


def has_categories(columns: Sequence[str]) -> bool:
    """Whether a table of a JSON file has the categories of annotations, by its columns."""
    return "category_id" in columns


def has_bands(path: Path) -> bool:
    """Whether a JSON file is a list of objects with lists of numbers, such as an image's bands, by its start."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    first = _first_object(head.decode("utf-8", "replace")) if head.lstrip(b" \t\r\n")[:1] == b"[" else {}
    return any(map(_is_band, first.values()))


def _begins_with_a_flat_object(text: str) -> bool:
    first = _first_object(text)
    return (
        len(first) > 1
        and any(map(_is_scalar, first.values()))
        and all(_is_scalar(value) or _is_band(value) for value in first.values())
    )


def _first_object(text: str) -> Object:
    """Returns the first object of a list; empty if the list has none."""
    try:
        first, _ = json.JSONDecoder().raw_decode(text.partition("[")[2].lstrip())
    except (ValueError, RecursionError):
        return {}
    return first if isinstance(first, dict) else {}


def _content(path: Path) -> Any:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"no table {path}", code="D21", hint="kit init finds the tables") from None
    except UnicodeDecodeError as error:
        raise _unusable(path, f"it is not UTF-8: byte {error.start}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", code="D09") from None
    try:
        return json.loads(text.removeprefix(BOM))
    except json.JSONDecodeError as error:
        raise _unusable(
            path, f"line {error.lineno}: {error.msg}", "check that the file is complete"
        ) from None
    except RecursionError:
        raise _unusable(path, "it is nested too deeply") from None


def _unusable(path: Path, why: str, hint: str = "", cases: Iterable[Case] = ()) -> DataError:
    return DataError(f"{path} cannot be read as a table: {why}", code="D80", cases=list(cases), hint=hint)


def _objects(path: Path, values: Any, what: str) -> Sequence[Object]:
    if not isinstance(values, list) or not all(isinstance(value, Mapping) for value in values):
        raise _unusable(path, f"{what} is not a list of objects")
    return values


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _is_band(value: Any) -> bool:
    return isinstance(value, list) and len(value) >= MIN_SERIES and isinstance(value[0], int | float)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _flat(entry: Object) -> dict[str, str]:
    """Returns the cells of an object, without its lists and objects."""
    return {key: _text(value) for key, value in entry.items() if _is_scalar(value)}


def _table(path: Path, rows: Sequence[Mapping[str, str]]) -> Rows:
    columns = tuple(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        raise DataError(f"{path} has no rows", code="D29", hint="check that the file is complete")
    cells = tuple(tuple(row.get(column, "") for column in columns) for row in rows)
    return columns, cells


def _key_of(path: Path, entries: Sequence[Object], known: Sequence[str], what: str) -> str:
    """Returns the key of the ids. Raises DataError D80 for entries without one."""
    key = next((key for key in known if all(key in entry for entry in entries)), None)
    if key is None:
        raise _unusable(path, f"{what} without {' or '.join(known)}")
    return key


def _check_unique(path: Path, ids: Sequence[str], what: str) -> None:
    if len(set(ids)) < len(ids):
        double = [name for name, times in Counter(ids).items() if times > 1]
        cases = [Case(f"{what} id {name!r} occurs more than once", str(path), code="D24") for name in double]
        raise DataError(f"{path}: {len(double)} duplicate {what} ids", code="D24", cases=cases)


def _category_rows(path: Path, categories: Any) -> list[dict[str, str]]:
    """Returns the rows of categories: `category_id`, `category` (the name), and their other values."""
    entries = _objects(path, categories, "categories")
    key = _key_of(path, entries, CATEGORY_KEYS, "categories")
    flat = [_flat(record) for record in entries]
    _check_unique(path, [row[key] for row in flat], "category")
    rest = list(dict.fromkeys(name for row in flat for name in row if name != key))
    name = "name" if "name" in rest else next((record for record in rest if _is_unique(flat, record)), None)
    return [
        {
            "category_id": row[key],
            **({} if name is None else {"category": row.get(name, "")}),
            **{record: row.get(record, "") for record in rest if record != name},
        }
        for row in flat
    ]


def _is_unique(rows: Sequence[Mapping[str, str]], column: str) -> bool:
    return len({row.get(column, "") for row in rows}) == len(rows)


def _image_rows(path: Path, content: Object) -> list[dict[str, str]]:
    """Returns one row per image: its values, then those of its annotations and of their categories."""
    entries = _objects(path, content["images"], "images")
    key = _key_of(path, entries, IMAGE_KEYS, "images")
    rows = [_flat(record) for record in entries]
    ids = [row[key] for row in rows]
    _check_unique(path, ids, "image")
    if "annotations" not in content:
        return rows
    annotations = [_flat(record) for record in _objects(path, content["annotations"], "annotations")]
    known = {row["category_id"]: row for row in _category_rows(path, content.get("categories") or [])}
    _check_annotations(path, annotations, set(ids), known)
    of_image: dict[str, list[dict[str, str]]] = defaultdict(list)
    for record in annotations:
        of_image[record["image_id"]].append(record)
    names_of_rows = set(dict.fromkeys(name for row in rows for name in row))
    more = [dict(_of_annotations(of_image.get(name, ()), known)) for name in ids]
    single_valued = _single_valued(more)
    for row, cells in zip(rows, more, strict=True):
        row |= {
            f"annotation_{name}" if name in names_of_rows else name: NAME_SEPARATOR.join(values)
            if name != "category_id"
            else LABEL_SEPARATOR.join(values)
            for name, values in cells.items()
            if name in single_valued
        }
    return rows


def _check_annotations(
    path: Path, annotations: Sequence[Mapping[str, str]], images: set[str], categories: Mapping[str, Object]
) -> None:
    """Raises DataError D80 for annotations of images or categories that do not exist."""
    for key, known, what in (("image_id", images, "image"), ("category_id", set(categories), "category")):
        if key == "category_id" and not known:
            continue
        unknown = [annotation for annotation in annotations if annotation.get(key, "") not in known]
        if unknown:
            cases = [
                Case(
                    f"no {what} has the id {annotation.get(key, '')!r}",
                    f"annotation {annotation.get('id', '')}".strip(),
                )
                for annotation in unknown
            ]
            count = f"{len(unknown)} annotation{'s name' if len(unknown) > 1 else ' names'}"
            why = f"{count} {'an' if what == 'image' else 'a'} {what} that does not exist"
            raise _unusable(path, why, "check that the file is complete", cases)


def _of_annotations(
    annotations: Iterable[Mapping[str, str]], categories: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields the distinct values of each key of an image's annotations, and of their categories."""
    values: dict[str, dict[str, None]] = defaultdict(dict)
    for annotation in annotations:
        category = categories.get(annotation.get("category_id", ""), {})
        for name, cell in {**category, **annotation}.items():
            if name not in ("id", "image_id"):
                values[name][cell] = None
    order = {name: number for number, name in enumerate(("category_id", "category"))}
    for name in sorted(values, key=lambda name: order.get(name, len(order))):
        yield name, tuple(values[name])


def _single_valued(rows: Sequence[Mapping[str, Sequence[str]]]) -> set[str]:
    """Returns the keys with one value for each image, and those of the categories themselves."""
    with_several = {name for row in rows for name, values in row.items() if len(values) > 1}
    return {name for row in rows for name in row} - with_several | {"category_id", "category"}
