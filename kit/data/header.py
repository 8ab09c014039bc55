"""Tables without a header: the first line is a row of data that would be lost as the columns' names."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from kit.data.csv_file import CsvFile
from kit.errors import Case, DataError

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
