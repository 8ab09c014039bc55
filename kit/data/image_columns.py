"""Image columns: a table with several columns of images, such as `images/{left|right}`, as one row per image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from kit.data.csv_file import CsvFile, unknown_column
from kit.data.image_paths import columns_of
from kit.errors import Case, ConfigError, DataError

OR = "|"  # between columns in the braces of a pattern


def alternatives(images: str) -> tuple[str, tuple[str, ...]] | None:
    """Returns the name in a pattern's braces that lists several columns, and the columns; None if the pattern has none.

    Raises ConfigError C07 for several such names.
    """
    pairs_of_columns = [name for name in dict.fromkeys(columns_of(images)) if OR in name]
    if not pairs_of_columns:
        return None
    if len(pairs_of_columns) > 1:
        raise ConfigError(
            f"data.images names several columns of images twice: {', '.join(pairs_of_columns)}",
            code="C07",
            hint="one pair of braces, such as images/{left|right}",
        )
    return pairs_of_columns[0], tuple(part.strip() for part in pairs_of_columns[0].split(OR))


def row_per_image(file: CsvFile, images: str, split: str) -> tuple[CsvFile, list[str]]:
    """Returns the table with one row per image, in the order of its rows, and each image's name without
    folder and ending.

    Blank cells have no image. The images are a column named as in the pattern's braces. If the pattern names
    one column, the table stays as it is, and the names are empty. Raises ConfigError C07 if a column does not
    exist, DataError D02 for a row without an image.
    """
    image_alternatives = alternatives(images)
    if image_alternatives is None:
        return file, []
    name, columns = image_alternatives
    lacking = [column for column in columns if column not in file.columns]
    if lacking:
        raise unknown_column(lacking[0], file.columns, "data.images")
    cells = [file.column(column) for column in columns]
    pairs = [(row, cell[row]) for row in range(len(file)) for cell in cells if cell[row].strip()]
    there = {row for row, _ in pairs}
    _refuse_without(file, [row for row in range(len(file)) if row not in there], columns, split)
    wide = replace(
        file,
        columns=(*file.columns, name),
        rows=tuple((*file.rows[row], cell) for row, cell in pairs),
        lines=[file.lines[row] for row, _ in pairs],
        begun={},
    )
    return wide, [PurePosixPath(cell).stem for _, cell in pairs]


def _refuse_without(file: CsvFile, rows: Sequence[int], columns: Sequence[str], split: str) -> None:
    if not rows:
        return
    cases = [
        Case(f"row {file.lines[row]} names no image", str(file.path), file.rows[row][0], split, "D02")
        for row in rows
    ]
    raise DataError(
        f"{len(rows)} {split} rows have no image in {', '.join(columns)}",
        code="D02",
        cases=cases,
        hint="write the name of an image into one of the cells, or remove the rows",
    )
