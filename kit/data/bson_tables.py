"""BSON files as tables: one row per document, and one column per element that holds a number or a text."""

from __future__ import annotations

from pathlib import Path

from kit.core.bson import find_documents, read_scalars
from kit.errors import DataError

BSON = ".bson"


def read_bson_rows(path: Path) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Returns the table of a BSON file, without images and lists.

    Raises DataError: D21 if the file does not exist, D29 without rows or columns, D80 if it is not BSON.
    """
    try:
        documents = list(read_scalars(path, find_documents(path))) if path.stat().st_size else []
    except FileNotFoundError:
        raise DataError(f"no table {path}", code="D21", hint="kit init finds the tables") from None
    except DataError as error:
        why = f"{path} cannot be read as a table: {error.summary}"
        raise DataError(why, code="D80", hint="check that the file is complete") from None
    columns = tuple(dict.fromkeys(name for document in documents for name in document))
    if not columns:
        raise DataError(f"{path} has no rows", code="D29", hint="check that the file is complete")
    rows = tuple(tuple(document.get(name, "") for name in columns) for document in documents)
    return columns, rows
