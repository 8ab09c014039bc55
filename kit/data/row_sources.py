"""The sources of rows: a CSV with a path pattern, a CSV with a folder of photos per row, or one folder per class.

Rows to predict may be the answers of the sample, which its format separates.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.core.kaggle_folders import list_attached
from kit.core.legible import legible
from kit.core.locations import with_box
from kit.data import class_folders
from kit.data.boxes import find_boxes
from kit.data.csv_file import CsvFile, check_ids, read_rows, read_table
from kit.data.external_rows import check_allowed, concat_rows, with_external_rows, with_source_column
from kit.data.image_columns import OR, row_per_image
from kit.data.image_paths import (
    ImageFolder,
    ImagePattern,
    columns_of,
    fill,
    image_endings,
    refuse_unusable,
    split_pattern,
    with_index,
)
from kit.data.joined_tables import join_to_file, join_to_rows
from kit.data.label_columns import columns_of_names
from kit.data.long_rows import widen
from kit.data.rows import SourceRows, warn_of_names
from kit.data.spelling import respell
from kit.errors import Case, ConfigError, DataError, PluginError
from kit.kinds import Format, Reader, registry

if TYPE_CHECKING:
    import pandas as pd

    from kit.config.models import Data

ALL_IMAGES = "/*"  # ends a pattern in which every image of the folder is a row


def train_rows(root: Path, data: Data) -> SourceRows:
    """Returns the labelled rows, those of `data.external.train` last.

    Raises DataError for rows or ids that are unusable or not allowed, ConfigError for wrong columns.
    """
    check_folder(root, data)
    names = data.train_tables
    if len(names) == 1 and (root / names[0]).is_dir():
        rows = class_folders.read_labelled_rows(root, data)
        rows = join_to_rows(root, data, rows, "train") if data.join else rows
        rows = _with_boxes(root, data, rows)
    else:
        parts = [_table_rows(root, data, name) for name in names]
        rows = parts[0] if len(parts) == 1 else concat_rows(parts, names)
        if data.external.source_column is not None:
            rows = with_source_column(rows, data.external.source_column)
    if data.external.train is not None:
        images = data.external.images or data.images
        file = read_rows(root, data, data.external.train, _columns_of_rows(data, images))
        rows = with_external_rows(rows, _csv_rows(root, data, file, data.id, images, "train"), file.path)
    if rows.sources:
        check_allowed(rows, data.external.policy)
    return rows


def _table_rows(root: Path, data: Data, name: str) -> SourceRows:
    """Returns the labelled rows of one table of `data.train`, with the columns that are joined to them."""
    file = read_rows(root, data, name, _columns_of_rows(data, data.images))
    if data.long.classes:
        file = widen(file, data, "train")
    if data.join:
        file = join_to_file(root, data, file, "train")
    return _csv_rows(root, data, file, data.id, data.images, "train")


def check_folder(root: Path, data: Data) -> None:
    """Raises DataError D67 if the folder of the competition's files does not exist."""
    folder = root / data.folder
    if folder.is_dir():
        return
    moved = next((attached for attached in list_attached() if attached.name == folder.name), None)
    raise DataError(
        f"data.folder: no folder {folder}",
        code="D67",
        hint=f"it may have moved: data.folder={moved}"
        if moved
        else "attach the data again; or name the folder it moved to: data.folder=FOLDER",
    )


def test_rows(root: Path, data: Data, classes: Sequence[str], spec: Any) -> SourceRows:
    """Returns the rows to predict, from the test CSV or else the sample's answers. Raises as `train_rows` does.

    `spec` is the config's format of the submission. With the classes, it decides which answers the sample
    wants.
    """
    check_folder(root, data)
    name = data.test or data.sample
    if name is None:
        raise ConfigError(
            "no rows to predict: data.test and data.sample are both null",
            code="C07",
            hint="data.sample=FILE (the sample submission) or data.test=FILE (a table of test rows); "
            "without them kit tta and kit blend only score out-of-fold rows",
        )
    if data.test and (root / data.test).is_dir():
        rows = class_folders.rows_to_predict(root, data)
        rows = join_to_rows(root, data, rows, "test") if data.join else rows
        return _with_boxes(root, data, rows)
    images = data.test_images or data.images
    file = read_rows(root, data, name, _columns_of_rows(data, images) if data.test else None)
    if not data.test:
        file = one_row_per_id(one_row_per_answer(file, find_answers(root, file.frame(), classes, spec)))
    elif data.long.classes:
        file = widen(file, data, "test")
    if data.join:
        file = join_to_file(root, data, file, "test")
    id_columns = set(columns_of(data.id)) or {data.id}
    # the sample's first column is the id under any name; a test table may lack the train table's column
    name_of_row = data.id if data.test and id_columns <= set(file.columns) else file.columns[0]
    rows = _csv_rows(root, data, file, name_of_row, images, "test")
    return replace(rows, ids=as_the_sample_spells(root, data, rows.ids, classes, spec))


def find_answers(root: Path, sample: pd.DataFrame, classes: Sequence[str], spec: Any = None) -> list[str]:
    """Returns for each row of a sample the id of its answer.

    `spec` is the config's format. Without one, a format with its own ids that matches the sample decides. If
    none matches, each row's first cell is the id. Raises ConfigError and PluginError for the format of a
    spec.
    """
    if spec is not None:
        return Format.open(spec, root, where="format").ids(sample, classes)
    first = list(map(str, sample.iloc[:, 0]))
    known = [shape.ids(sample, classes) for shape in formats_with_ids(root) if shape.matches(sample, classes)]
    return known[0] if known and all(ids == known[0] for ids in known) else first


def formats_with_ids(root: Path) -> list[Format]:
    """Returns the formats whose ids are not the first column's cells, without those that have required options."""
    fitting = []
    for name in registry.locations("format", root):
        try:
            shape = Format.open(name, root)
        except (ConfigError, PluginError):  # choose_format reports it
            continue
        if type(shape).ids is not Format.ids:
            fitting.append(shape)
    return fitting


def one_row_per_answer(file: CsvFile, ids: Sequence[str]) -> CsvFile:
    """Returns the first row of each answer, with its id in the first cell; the file itself if those cells are
    the ids.
    """
    if ids == file.column(file.columns[0]):
        return file
    firsts: dict[str, int] = {}
    for row, name in enumerate(ids):
        firsts.setdefault(name, row)
    rows = tuple((name, *file.rows[row][1:]) for name, row in firsts.items())
    return replace(file, rows=rows, lines=[file.lines[row] for row in firsts.values()])


def as_the_sample_spells(
    root: Path, data: Data, ids: tuple[str, ...], classes: Sequence[str], spec: Any
) -> tuple[str, ...]:
    """Returns the ids of a test table, in the sample's Unicode normal form."""
    if not (data.test and data.sample) or all(map(str.isascii, ids)) or not (root / data.sample).is_file():
        return ids
    sample = read_table(root, data, data.sample)
    return tuple(respell(ids, find_answers(root, sample.frame(), classes, spec)))


def _columns_of_rows(data: Data, images: str) -> set[str]:
    """Returns the columns that name, label or group a row, or hold the path of its image."""
    patterns = [
        data.id,
        *data.label_columns,
        images,
        data.group,
        data.answer,
        data.external.source_column,
    ]
    names = {
        name for pattern in patterns if pattern is not None for name in columns_of(pattern) or (pattern,)
    }
    return {part.strip() for name in names for part in name.split(OR)}


def one_row_per_id(sample: CsvFile) -> CsvFile:
    """Returns the sample with the first row of each id, if all ids have the same number of distinct rows."""
    ids = sample.column(sample.columns[0])
    if len(set(Counter(ids).values())) != 1 or len(set(sample.rows)) < len(sample):
        return sample
    firsts = {name: row for row, name in reversed(list(enumerate(ids)))}
    first_rows = sorted(firsts.values())
    return replace(
        sample,
        rows=tuple(sample.rows[row] for row in first_rows),
        lines=[sample.lines[row] for row in first_rows],
    )


def _csv_rows(root: Path, data: Data, file: CsvFile, name: str, images: str, split: str) -> SourceRows:
    check_header(file, name, data.extensions)
    columns = {column: file.column(column) for column in file.columns}
    if not columns_of(images):
        raise ConfigError(f"data.images has no column: {images!r}", code="C07", hint="such as images/{id}")
    if images.endswith(ALL_IMAGES):
        return _photos(root, data, file, columns, name, images.removesuffix(ALL_IMAGES), split)
    image_pattern = ImagePattern(root, data, images)
    columns = {column: columns[column] for column in image_pattern.reader.text_columns(file.columns)}
    _check_first_line(image_pattern, file, name)
    stems: list[str] = []
    if OR in images:
        file, stems = row_per_image(file, images, split)
    if stems:
        columns = {column: file.column(column) for column in file.columns}
    numbered = with_index(columns, len(file))
    ids = fill(name, numbered, "data.id")
    if stems:
        ids = [f"{owner}_{stem}" for owner, stem in zip(ids, stems, strict=True)]
    check_ids(ids, file.lines, file.path, split)
    located = image_pattern.locate(ids, numbered)
    refuse_unusable(image_pattern.first_folder, data, located.names, ids, located.codes, split)
    if split == "train" and data.label_from.regex is not None:
        base = image_pattern.first_folder.base
        columns |= columns_of_names([_below(path, base) for path in located.paths], ids, data)
    return SourceRows(tuple(ids), tuple(located.paths), columns)


def _below(path: Path, base: str) -> str:
    """Returns an image's path below the image folder."""
    return legible(str(path).removeprefix(base).lstrip("/"))


def _check_first_line(image_pattern: ImagePattern, file: CsvFile, name: str) -> None:
    """Raises DataError D28 if the header, read as a row, names an image that exists."""
    folder, pattern, key = image_pattern.folders[0]
    first = name if name in file.columns else file.columns[0]
    header = {"id": [first], **{column: [column] for column in file.columns}}
    if key or first in set(file.column(first)) or not set(columns_of(pattern)) <= set(header):
        return
    path = fill(pattern, header, "data.images")[0]
    if not folder.find(path)[1]:
        raise without_header(file, f"{path!r} is an image file")


def _photos(
    root: Path, data: Data, file: CsvFile, columns: dict[str, list[str]], name: str, images: str, split: str
) -> SourceRows:
    """Returns one row per image of each row's folder. `{file}` is the image's name without its ending."""
    of_file = "file" in columns_of(name)
    owners = [str(line) for line in file.lines] if of_file else fill(name, columns, "data.id")
    check_ids(owners, file.lines, file.path, split)
    base, pattern = split_pattern(root, images)
    reader = Reader.open(data.reader, root, where="data.reader")
    image_folder = ImageFolder(base, image_endings(reader, data), data.follow_symlinks)
    folders = fill(pattern, {"id": owners, **columns}, "data.images")
    located = [image_folder.images_of_folder(folder) for folder in folders]
    refuse_unusable(
        image_folder,
        data,
        [f"{folder}/*" for folder in folders],
        owners,
        [code for _, code in located],
        split,
    )
    paths = tuple(path for files, _ in located for path in files)
    source = [row for row, (files, _) in enumerate(located) for _ in files]
    wide: dict[str, list[str]] = {key: [cells[row] for row in source] for key, cells in columns.items()}
    wide["file"] = [legible(path.stem) for path in paths]
    warn_of_names(paths, split)
    ids = fill(name, wide, "data.id")
    if not of_file:
        ids = [f"{owner}_{stem}" for owner, stem in zip(ids, wide["file"], strict=True)]
    check_ids(ids, [file.lines[row] for row in source], file.path, split)
    if split == "train" and data.label_from.regex is not None:
        wide |= columns_of_names([_below(path, base) for path in paths], ids, data)
    return _with_boxes(root, data, SourceRows(tuple(ids), paths, wide))


def _with_boxes(root: Path, data: Data, rows: SourceRows) -> SourceRows:
    """Returns rows, of which each is a whole file, with the boxes of `data.box`."""
    if not data.box:
        return rows
    files = list(map(str, rows.paths))
    boxes = find_boxes(root, data, rows.columns, rows.ids, files)
    located = (Path(with_box(file, box)) for file, box in zip(files, boxes, strict=True))
    return replace(rows, paths=tuple(located))


ALIKE = 0.95  # share of the ids with the header's form
MIN_LENGTH = 6  # characters from which ids of one length are random names, such as hashes


def check_header(file: CsvFile, id_column: str, extensions: Collection[str]) -> None:
    """Raises DataError D28 if a table's first line is a row: it names an image file or has the form of the ids."""
    why = explain_missing_header(file, id_column, extensions)
    if why:
        raise without_header(file, why)


def explain_missing_header(file: CsvFile, id_column: str, extensions: Collection[str]) -> str:
    """Returns why the first line is a row and not a header, in words; empty if it is a header.

    If the table has no column `id_column`, its first column is taken for the ids.
    """
    files = [name for name in file.columns if name.lower().endswith(tuple(extensions))]
    if files:
        return f"{files[0]!r} is the name of an image file"
    header = id_column if id_column in file.columns else file.columns[0]
    ids = file.column(header)
    if header not in set(ids) and _has_form_of(header, ids):
        return f"{header!r} looks like the ids below it, such as {ids[0]!r}"
    return ""


def without_header(file: CsvFile, why: str) -> DataError:
    """Returns the error for a table whose first line is a row."""
    first_columns = ", ".join(file.columns[:5]) + (", …" if len(file.columns) > 5 else "")
    return DataError(
        f"{file.path} has no header: its first line is a row",
        code="D28",
        cases=[Case(f"the first line is {first_columns}: {why}", str(file.path))],
        hint=f"insert a first line with the names of the {len(file.columns)} columns, such as id,label",
    )


def _has_form_of(header: str, ids: Sequence[str]) -> bool:
    """Whether a header with a digit looks like the ids: the same text around numbers, or equally random."""
    digits = sum(character.isdigit() for character in header)
    if not digits:
        return False
    form = _form(header)
    if sum(_form(name) == form for name in ids) >= ALIKE * len(ids):
        return True
    lengths, known = {len(name) for name in ids}, set(map(_kind, "".join(ids)))
    return (
        digits > 1
        and lengths == {len(header)}
        and len(header) >= MIN_LENGTH
        and set(map(_kind, header)) <= known
    )


def _form(text: str) -> str:
    """Returns the text with each number as one 9: `Train_17.png` becomes `Train_9.png`."""
    return re.sub(r"\d+", "9", text)


def _kind(character: str) -> str:
    """Returns the kind of a character: digits are alike, and so are letters of one case; any other character
    is itself.
    """
    if character.isdigit():
        return "9"
    return ("A" if character.isupper() else "a") if character.isalpha() else character
