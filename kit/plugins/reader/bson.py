"""BSON files: documents with one or several images each."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kit.errors import DataError
from kit.plugins.reader._bson import read_document
from kit.plugins.reader._open_files import open_once
from kit.plugins.reader._tables import Rows, TableReader, record_of_cells

if TYPE_CHECKING:
    from kit.kinds.reader import Record

LEAST, MOST = 5, 2**30  # bytes of a document


class Bson(TableReader):
    """BSON files: a document per row, by its number or an element's value, with one or several images.

    `train.bson::_id/{_id}` is the first image of the document with this `_id`, `train.bson::_id/{_id}/{image}` the
    one of this number from 0, and `train.bson::{index}` the first image of a document by its number. An image is an
    element of bytes, at any depth; `columns` names the outermost elements that are looked into, by default all.

    Source: bsonspec.org.
    """

    endings: ClassVar[tuple[str, ...]] = (".bson",)

    def rows(self, file: Path) -> BsonRows:
        return open_once(_OpenBson(self.columns), file)

    def load(self, file: Path, key: str) -> Record:
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
    """The documents of a BSON file, whose places in it are looked up once."""

    def __init__(self, file: Path, wanted: Sequence[str]) -> None:
        self.file, self.places = file, _find_documents(file)
        first = self.document(0)
        super().__init__(tuple(first), wanted)
        self.wanted = tuple(wanted)
        self.pixels = self.pixels or tuple(name for name, value in first.items() if any(_find_bytes(value)))

    def __len__(self) -> int:
        return len(self.places) - 1

    def document(self, number: int) -> dict[str, Any]:
        """A document. Raises DataError D05 for one that is corrupt."""
        start, end = self.places[number : number + 2]
        with self.file.open("rb", buffering=0) as stream:
            stream.seek(start)
            content = stream.read(end - start)
        try:
            return read_document(content)
        except ValueError as error:  # also text that is not UTF-8
            raise DataError(f"corrupt BSON: document {number} has {error}", code="D05") from None

    def column(self, name: str) -> Sequence[str]:
        return [str(self.document(number).get(name, "")) for number in range(len(self))]

    def images(self, number: int) -> list[bytes]:
        """The elements of bytes of a document."""
        found = self.document(number)
        names = self.wanted or tuple(found)
        return [each for name in names for each in _find_bytes(found.get(name))]


def _find_bytes(value: Any) -> Iterator[bytes]:
    """The bytes of a value, at any depth."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _find_bytes(each)


def _find_documents(file: Path) -> list[int]:
    """The places of the documents, and that of the file's end. Raises DataError D05 or D06."""
    places, size = [0], file.stat().st_size
    with file.open("rb", buffering=0) as stream:
        while places[-1] < size:
            stream.seek(places[-1])
            head = stream.read(4)
            count = struct.unpack("<i", head)[0] if len(head) == 4 else 0
            number = len(places) - 1
            if not LEAST <= count <= MOST:
                if number == 0:
                    raise DataError(f"not a BSON file: begins with {head!r}", code="D06")
                raise DataError(f"corrupt BSON: document {number} claims {count:,} bytes", code="D05")
            if places[-1] + count > size:
                raise DataError(
                    f"truncated BSON: document {number} needs {count:,} bytes, and {size - places[-1]:,} are left",
                    code="D05",
                )
            places.append(places[-1] + count)
    return places
