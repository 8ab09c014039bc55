"""BSON files: documents with one or several images each."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kit.core.bson import find_documents, read_document, read_scalars
from kit.errors import DataError
from kit.kinds.reader import Keys
from kit.plugins.reader._open_files import open_once
from kit.plugins.reader._tables import Rows, TableReader, record_of_cells

if TYPE_CHECKING:
    from kit.kinds.reader import Record


class Bson(TableReader):
    """BSON files: a document per row, by its number or an element's value, with one or several images.

    `train.bson::_id/{_id}` is the first image of the document with this `_id`, and
    `train.bson::_id/{_id}/{image}` its image with this number from 0. `train.bson::{index}` is the first
    image of a document by its number. An image is an element of bytes, at any depth. `columns` names the
    outermost elements that are searched, by default all. A file of one document needs no key.

    Source: bsonspec.org.
    """

    endings: ClassVar[tuple[str, ...]] = (".bson",)
    keys: ClassVar[Keys] = "optional"

    def rows(self, file: Path) -> BsonRows:
        return open_once(_OpenBson(self.columns), file)

    def load(self, file: Path, key: str) -> Record:
        if not key:
            key = self.only_row(file)
        column, _, rest = key.partition("/")
        value, _, image = rest.partition("/")
        if column.isdecimal():
            document, image = column, rest
        else:
            document = f"{column}/{value}"
        rows, number = self.find(file, document)
        assert isinstance(rows, BsonRows)
        images = rows.images(number)
        if not (image or "0").isdecimal() or int(image or 0) >= len(images):
            raise DataError(
                f"document {document!r} has {len(images)} images, and no {image or 0}", code="D02"
            )
        return record_of_cells([images[int(image or 0)]])


@dataclass(frozen=True)
class _OpenBson:
    """Opens a BSON file; equal ones open a file once."""

    columns: tuple[str, ...]

    def __call__(self, file: Path) -> BsonRows:
        return BsonRows(file, self.columns)


class BsonRows(Rows):
    """The documents of a BSON file. Their offsets are found once."""

    def __init__(self, file: Path, wanted: Sequence[str]) -> None:
        self.file, self.places = file, find_documents(file)
        self._cells: dict[str, list[str]] = {}
        self._reading = threading.Lock()
        first = self.document(0)
        super().__init__(tuple(first), wanted)
        self.wanted = tuple(wanted)
        self.pixels = self.pixels or tuple(name for name, value in first.items() if any(_find_bytes(value)))

    def __len__(self) -> int:
        return len(self.places) - 1

    def document(self, number: int) -> dict[str, Any]:
        """Returns a document. Raises DataError D05 if it is corrupt."""
        start, end = self.places[number : number + 2]
        with self.file.open("rb", buffering=0) as stream:
            stream.seek(start)
            content = stream.read(end - start)
        try:
            return read_document(content)
        except ValueError as error:  # also text that is not UTF-8
            raise DataError(f"corrupt BSON: document {number} has {error}", code="D05") from None

    def column(self, name: str) -> Sequence[str]:
        with self._reading:
            if not self._cells:  # all at once, in one pass through the file
                self._cells = self._read_cells()
        return self._cells.get(name) or [""] * len(self)

    def _read_cells(self) -> dict[str, list[str]]:
        """Returns the cells of each element that holds a number or a text."""
        cells: dict[str, list[str]] = {}
        for number, document in enumerate(read_scalars(self.file, self.places)):
            for name in document.keys() - cells.keys():
                cells[name] = [""] * number
            for name, cell in cells.items():
                cell.append(document.get(name, ""))
        return cells

    def images(self, number: int) -> list[bytes]:
        """Returns the elements of bytes of a document."""
        document = self.document(number)
        names = self.wanted or tuple(document)
        return [each for name in names for each in _find_bytes(document.get(name))]


def _find_bytes(value: Any) -> Iterator[bytes]:
    """Yields the bytes of a value, at any depth."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _find_bytes(item)
