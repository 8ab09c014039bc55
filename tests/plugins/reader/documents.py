"""BSON documents, written by the rules of bsonspec.org."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any


def document(elements: Mapping[str, Any]) -> bytes:
    """A document of whole numbers, text, bytes, lists and documents."""
    body = b"".join(_element(name, value) for name, value in elements.items())
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def _element(name: str, value: Any) -> bytes:
    head = name.encode() + b"\0"
    if isinstance(value, int):
        return b"\x10" + head + struct.pack("<i", value)
    if isinstance(value, bytes):
        return b"\x05" + head + struct.pack("<i", len(value)) + b"\0" + value
    if isinstance(value, str):
        return b"\x02" + head + struct.pack("<i", len(value.encode()) + 1) + value.encode() + b"\0"
    if isinstance(value, list):
        return b"\x04" + head + document({str(number): each for number, each in enumerate(value)})
    return b"\x03" + head + document(value)


def products(images: Mapping[int, Sequence[bytes]]) -> bytes:
    """Documents as those of Cdiscount: a product with its category and its pictures, by id."""
    return b"".join(
        document({"_id": key, "category_id": 1000 + key % 3, "imgs": [{"picture": each} for each in pixels]})
        for key, pixels in images.items()
    )
