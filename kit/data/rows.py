"""Rows of a source before labels become numbers: reads their table, and checks its header, ids and line breaks."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kit.core.legible import is_legible, legible
from kit.data.bson_tables import BSON, read_bson_table
from kit.data.csv_file import CsvFile, is_json, read_csv
from kit.data.encodings import LINE_END, line_breaks
from kit.data.image_paths import ImageFolder, raise_missing
from kit.data.json_tables import read_json_table
from kit.data.spelling import nfc
from kit.errors import MAX_CASES, Case, DataError, KitWarning

if TYPE_CHECKING:
    from kit.config.models import Data


@dataclass(frozen=True)
class SourceRows:
    """Rows as their source has them: ids, image paths, and columns of text, all in the source's order."""

    ids: tuple[str, ...]
    paths: tuple[Path, ...]
    columns: Mapping[str, Sequence[str]]
    sources: tuple[str, ...] = ()  # of each row, blank for the competition's own; none where all are


def refuse_unusable(
    found: ImageFolder, data: Data, names: Sequence[str], ids: Sequence[str], codes: Sequence[str], split: str
) -> None:
    """Raises for what cannot be used; rows that the config lets go on are left to whoever reads the images."""
    goes_on = (
        data.on_unreadable_train == "skip" if split == "train" else data.on_unreadable_test == "class_prior"
    )
    serious = [code if code == "D20" or not goes_on else "" for code in codes]
    raise_missing(found, names, ids, serious, split)


def warn_of_names(paths: Iterable[Path | str], split: str) -> None:
    """Warns (W50) of files whose names are not UTF-8, as they become parts of ids and labels."""
    odd = [path for path in map(str, paths) if not is_legible(path)]
    if odd:
        text = f"W50 the names of {len(odd)} {split} files are not UTF-8, so their ids show the bytes: "
        more = ", …" if len(odd) > MAX_CASES else ""
        shown = ", ".join(legible(path) for path in odd[:MAX_CASES])
        warnings.warn(KitWarning(f"{text}{shown}{more}"), stacklevel=2)


def check_ids(ids: Sequence[str], lines: Sequence[int], file: Path, split: str) -> None:
    """Raises DataError for blank (D23) and double (D24) ids; warns of ids that differ only by case (W03)."""
    blank = [
        Case(f"row {line} has no id", str(file), split=split, code="D23")
        for row, line in zip(ids, lines, strict=True)
        if not row.strip()
    ]
    if blank:
        raise DataError(f"{len(blank)} {split} rows have no id", code="D23", cases=blank)
    if len(set(ids)) < len(ids):
        rows: dict[str, list[str]] = defaultdict(list)
        for row, line in zip(ids, lines, strict=True):
            rows[row].append(str(line))
        cases = [
            Case(f"id {row!r} occurs in rows {', '.join(where)}", "", row, split, "D24")
            for row, where in rows.items()
            if len(where) > 1
        ]
        raise DataError(
            f"{file}: {len(cases)} duplicate ids",
            code="D24",
            cases=cases,
            hint="data.id must identify each row; photos in one folder need different names",
        )
    forms = ids if all(map(str.isascii, ids)) else [nfc(row) for row in ids]
    folded = Counter(map(str.casefold, forms))
    if len(folded) < len(ids):
        alike = [row for row, form in zip(ids, forms, strict=True) if folded[form.casefold()] > 1]
        ways = ["case"] if len(folded) < len(set(forms)) else []
        ways += ["Unicode form"] if len(set(forms)) < len(ids) else []
        text = f"W03 {len(alike)} {split} ids differ only by {' or '.join(ways)}: {', '.join(alike[:6])}"
        warnings.warn(KitWarning(text), stacklevel=2)


@dataclass(frozen=True)
class MultiLineCell:
    """A cell with line breaks, by row and column, and the lines on which its quote opens and closes."""

    row: int
    place: int
    opens: int
    closes: int


def multi_line_cells(file: CsvFile) -> Iterator[MultiLineCell]:
    """Each cell with line breaks, in the order of the file."""
    for row, line in file.begun.items():
        for place, cell in enumerate(file.rows[row]):
            if breaks := line_breaks(cell):
                yield MultiLineCell(row, place, line, line + breaks)
                line += breaks


def check_multi_line_cells(file: CsvFile, sep: str, columns: Collection[str] | None = None) -> None:
    """Raises DataError (D73) for a cell with line breaks in one of `columns`, by default in any.

    In other columns it warns (W56) of cells whose every line has as many fields as a row.
    """
    cells = list(multi_line_cells(file))
    wrong = [
        Case(
            f"column {file.columns[cell.place]!r}: a quote opens on line {cell.opens} and closes on line {cell.closes}",
            str(file.path),
            code="D73",
        )
        for cell in cells
        if columns is None or file.columns[cell.place] in columns
    ]
    if wrong:
        raise DataError(
            f"{file.path} has {len(wrong)} cell{'s' * (len(wrong) > 1)} with line breaks in ids or "
            f"labels; {wrong[0].detail}",
            code="D73",
            cases=wrong,
            hint="remove the line breaks, or the two stray quotes that turn the rows between them into "
            "one cell",
        )
    swallowed = [cell for cell in cells if _looks_like_rows(file, sep, cell)]
    if swallowed:
        first, lost = swallowed[0], sum(cell.closes - cell.opens for cell in swallowed)
        warnings.warn(
            KitWarning(
                f"W56 {file.path}: {lost} row{'s' * (lost > 1)} may be lost in cells that contain "
                f"several rows: in column {file.columns[first.place]!r} a quote opens on line "
                f"{first.opens} and closes on line {first.closes}"
            ),
            stacklevel=3,
        )


def _looks_like_rows(file: CsvFile, sep: str, cell: MultiLineCell) -> bool:
    """Whether each of the lines that a cell spans has a row's number of separators."""
    cells = file.rows[cell.row]
    if sum(map(line_breaks, cells)) > cell.closes - cell.opens:
        return False  # another cell has line breaks too
    if f"{sep} " in cells[cell.place]:
        return False  # a sentence: cells of a table begin without a blank
    last = len(cells) - 1
    counts = [part.count(sep) for part in LINE_END.split(cells[cell.place])]
    counts[0] += cell.place
    counts[-1] += last - cell.place
    return last > 0 and all(count == last for count in counts)


def read_table(root: Path, data: Data, name: str) -> CsvFile:
    """The cells of a table that `data` names, by its path relative to the workspace.

    Raises DataError as `read_csv` and `read_json_table` do.
    """
    if is_json(name):
        return read_json_table(root / name)
    if name.lower().endswith(BSON):
        return read_bson_table(root / name)
    sep, encoding = format_of(data, name)
    return read_csv(root / name, sep, encoding)


def format_of(data: Data, name: str) -> tuple[str, str]:
    """The separator and the encoding of a table, by `data.tables` or else by those of all tables."""
    own = next((made for key, made in data.tables.items() if _is_same(key, name)), None)
    if own is None:
        return data.sep, data.encoding
    return own.sep or data.sep, own.encoding or data.encoding


def _is_same(one: str, other: str) -> bool:
    return os.path.normpath(one) == os.path.normpath(other)


def read_rows(root: Path, data: Data, name: str, columns: Collection[str] | None) -> CsvFile:
    """A table whose cells of `columns`, by default all, may hold no line breaks. Raises as `read_table` does."""
    file = read_table(root, data, name)
    if file.begun:
        wanted = None if columns is None else {*columns, file.columns[0]}
        check_multi_line_cells(file, format_of(data, name)[0], wanted)
    return file


def read_class_list(root: Path, data: Data, wanted: Collection[str] = ()) -> CsvFile:
    """The table `data.class_list`, the classes in its first column. Raises as `read_table` does.

    Of a JSON's categories the column that `data.label` names comes first.
    """
    name = str(data.class_list)
    file = read_rows(root, data, name, wanted)
    if not is_json(name) or data.label not in file.columns:
        return file
    at = file.columns.index(data.label)
    rows = tuple((row[at], *row[:at], *row[at + 1 :]) for row in file.rows)
    columns = (file.columns[at], *file.columns[:at], *file.columns[at + 1 :])
    return CsvFile(file.path, columns, rows, file.lines)


ALIKE = 0.95  # of the ids have the header's form
MIN_LENGTH = 6  # characters from which ids of one length are random names, such as hashes


def check_header(file: CsvFile, id_column: str, extensions: Collection[str]) -> None:
    """Raises DataError D28 if a table's first line is a row: it names an image file or has the form of the ids."""
    why = explain_missing_header(file, id_column, extensions)
    if why:
        raise without_header(file, why)


def explain_missing_header(file: CsvFile, id_column: str, extensions: Collection[str]) -> str:
    """Why the first line is a row and no header, in words; empty if it is a header.

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
    """The error for a table whose first line is a row."""
    shown = ", ".join(file.columns[:5]) + (", …" if len(file.columns) > 5 else "")
    return DataError(
        f"{file.path} has no header: its first line is a row",
        code="D28",
        cases=[Case(f"the first line is {shown}: {why}", str(file.path))],
        hint=f"insert a first line with the names of the {len(file.columns)} columns, such as id,label",
    )


def _has_form_of(header: str, ids: Sequence[str]) -> bool:
    """Whether a header with a digit looks like the ids: the same text around numbers, or as random as they are."""
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
    """The text with each number as one 9: `Train_17.png` is `Train_9.png`."""
    return re.sub(r"\d+", "9", text)


def _kind(character: str) -> str:
    """Digits are alike, letters of one case too; any other character stands for itself."""
    if character.isdigit():
        return "9"
    return ("A" if character.isupper() else "a") if character.isalpha() else character
