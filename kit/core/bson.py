"""BSON files: documents of names and values. Code in a document stays text.

Source: bsonspec.org, version 1.1.
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from kit.errors import DataError

LEAST_BYTES, MOST_BYTES = 5, 2**30  # of a document
MAX_DEPTH = 32  # documents in documents
_NESTED = (0x03, 0x04, 0x05)  # documents, arrays, bytes
_SIZES = {
    0x06: 0,
    0x07: 12,
    0x09: 8,
    0x0A: 0,
    0x11: 8,
    0x13: 16,
    0x7F: 0,
    0xFF: 0,
}  # types of a fixed size, by code
_TEXTS = (0x02, 0x0D, 0x0E)  # text, JavaScript, symbol
_NUMBERS = {0x01: ("<d", 8), 0x10: ("<i", 4), 0x12: ("<q", 8)}


def read_document(content: bytes) -> dict[str, Any]:
    """Returns a document by the names of its elements: numbers, text, bytes, documents, and lists for arrays.

    Other types are their bytes in hexadecimal digits, as text; null is None. Raises ValueError if the content
    is not BSON.
    """
    return _Document(content).elements(0, len(content), 0)


def read_scalars(file: Path, places: Sequence[int]) -> Iterator[dict[str, str]]:
    """Yields the numbers and texts of each document, as text, by their names; a null is empty.

    `places` are the offsets by `find_documents`. Nested documents, arrays and bytes are skipped, and their
    pages of the file are not read. Raises DataError D05 for a corrupt document.
    """
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        reader = _Document(content)
        for number, (start, end) in enumerate(pairwise(places)):
            try:
                yield {name: to_text(value) for name, value in reader.scalars(start, end)}
            except ValueError as error:  # also text that is not UTF-8
                raise DataError(f"corrupt BSON: document {number} has {error}", code="D05") from None


def to_text(value: Any) -> str:
    """Returns a number or a text as a table's cell."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def find_documents(file: Path) -> list[int]:
    """Returns the offsets of a file's documents, and that of the file's end. Raises DataError D05 or D06."""
    places, size = [0], file.stat().st_size
    with file.open("rb", buffering=0) as stream:
        while places[-1] < size:
            stream.seek(places[-1])
            head = stream.read(4)
            count = struct.unpack("<i", head)[0] if len(head) == 4 else 0
            number = len(places) - 1
            if not LEAST_BYTES <= count <= MOST_BYTES:
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


class _Document:
    """Reads documents at offsets of a bytes object."""

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self.content = content

    def elements(self, start: int, end: int, depth: int) -> dict[str, Any]:
        """Returns the elements of the document that starts at `start` and must end before `end`."""
        size = self._document_size(start, end)
        if depth > MAX_DEPTH:
            raise ValueError(f"documents in documents, more than {MAX_DEPTH} deep")
        values: dict[str, Any] = {}
        at, end = start + 4, start + size - 1
        while at < end:
            kind = self.content[at]
            name, at = self._name(at + 1, end)
            values[name], at = self._value(kind, at, end, depth)
        return values

    def scalars(self, start: int, end: int) -> Iterator[tuple[str, Any]]:
        """Yields the outermost elements of a document that are not documents, arrays or bytes."""
        at, end = start + 4, start + self._document_size(start, end) - 1
        while at < end:
            kind = self.content[at]
            name, at = self._name(at + 1, end)
            if kind in _NESTED:
                at += self._size(at, end) + (5 if kind == 0x05 else 0)
                continue
            value, at = self._value(kind, at, end, 0)
            yield name, value

    def _document_size(self, start: int, end: int) -> int:
        size = self._size(start, end)
        if size < LEAST_BYTES or self.content[start + size - 1] != 0:
            raise ValueError("a document without an end")
        return size

    def _value(self, kind: int, at: int, end: int, depth: int) -> tuple[Any, int]:
        """Returns a value of a type at an offset, and the offset after it."""
        if kind in _NUMBERS:
            form, size = _NUMBERS[kind]
            return struct.unpack(form, self._bytes(at, size, end))[0], at + size
        if kind in _TEXTS:
            size = self._size(at, end)
            return self._bytes(at + 4, size, end)[:-1].decode(), at + 4 + size
        if kind in (0x03, 0x04):
            values = self.elements(at, end, depth + 1)
            return (values if kind == 0x03 else list(values.values())), at + self._size(at, end)
        if kind == 0x05:
            size = self._size(at, end)
            return self._bytes(at + 5, size, end), at + 5 + size
        if kind == 0x08:
            return bool(self._bytes(at, 1, end)[0]), at + 1
        if kind == 0x0B:
            pattern, at = self._name(at, end)
            return pattern, self._name(at, end)[1]
        if kind == 0x0C:
            size = self._size(at, end) + 16
            return self._bytes(at, size, end).hex(), at + size
        if kind == 0x0F:
            size = self._size(at, end)
            return self._bytes(at, size, end).hex(), at + size
        if kind not in _SIZES:
            raise ValueError(f"an element of the unknown type {kind:#04x}")
        size = _SIZES[kind]
        return self._bytes(at, size, end).hex() or None, at + size

    def _size(self, at: int, end: int) -> int:
        size: int = struct.unpack("<i", self._bytes(at, 4, end))[0]
        if size < 0 or at + size > end:
            raise ValueError(f"an element of {size:,} bytes, where {end - at:,} are left")
        return size

    def _bytes(self, at: int, size: int, end: int) -> bytes:
        if size < 0 or at + size > end:
            raise ValueError(f"an element of {size:,} bytes, where {end - at:,} are left")
        return self.content[at : at + size]

    def _name(self, at: int, end: int) -> tuple[str, int]:
        stop = self.content.find(b"\0", at, end)
        if stop < 0:
            raise ValueError("a name without an end")
        return self.content[at:stop].decode(), stop + 1
