"""The wire format of Protocol Buffers, for the features of a tf.train.Example.

Source: protobuf.dev/programming-guides/encoding, tensorflow/core/example/feature.proto.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
Values = list[bytes] | np.ndarray


def read_features(example: bytes) -> dict[str, Values]:
    """Returns the features of an Example by name: a list of bytes, or numbers as float32 or int64.

    Raises ValueError for bytes that are not an Example.
    """
    values_by_name: dict[str, Values] = {}
    for features in _messages(memoryview(example), 1):
        for entry in _messages(features, 1):
            name, value = "", memoryview(b"")
            for number, _, content in _fields(entry):
                if number == 1 and not isinstance(content, int):
                    name = bytes(content).decode()
                elif number == 2 and not isinstance(content, int):
                    value = content
            values_by_name[name] = _values(value)
    return values_by_name


def _values(feature: memoryview) -> Values:
    """Returns the values of a Feature; an empty list of bytes if it is not set."""
    for number, _, content in _fields(feature):
        if isinstance(content, int):
            raise ValueError("a feature is no list")
        if number == 1:
            return [bytes(value) for value in _messages(content, 1)]
        if number == 2:
            parts = [value for place, _, value in _fields(content) if place == 1]
            return np.frombuffer(b"".join(_bytes(value, 4) for value in parts), "<f4")
        if number == 3:
            parts = [value for place, _, value in _fields(content) if place == 1]
            numbers = [
                np.array([value], np.uint64) if isinstance(value, int) else _varints(value) for value in parts
            ]
            return np.concatenate([np.zeros(0, np.uint64), *numbers]).view(np.int64)
    return []


def _bytes(content: memoryview | int, count: int) -> bytes:
    return content.to_bytes(count, "little") if isinstance(content, int) else bytes(content)


def _messages(content: memoryview, field: int) -> Iterator[memoryview]:
    """Yields the contents of every occurrence of a field that is a message, a text or bytes."""
    for number, wire, value in _fields(content):
        if number == field:
            if wire != BYTES or isinstance(value, int):
                raise ValueError(f"field {field} is no message")
            yield value


def _fields(content: memoryview) -> Iterator[tuple[int, int, memoryview | int]]:
    """Yields the fields of a message: number, wire type, and a whole number or bytes."""
    at, size = 0, len(content)
    while at < size:
        tag, at = _varint(content, at)
        wire = tag & 7
        if wire == VARINT:
            value, at = _varint(content, at)
            yield tag >> 3, wire, value
            continue
        if wire == BYTES:
            count, at = _varint(content, at)
        elif wire in (FIXED64, FIXED32):
            count = 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"unknown wire type {wire}")
        if at + count > size:
            raise ValueError(f"a field of {count:,} bytes, where {size - at:,} are left")
        part = content[at : at + count]
        yield tag >> 3, wire, part if wire == BYTES else int.from_bytes(part, "little")
        at += count


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """Returns the whole number that starts at an offset, and the offset after it."""
    value = 0
    for index, byte in enumerate(content[at : at + 10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & (2**64 - 1), at + index + 1
    raise ValueError("a number without an end")


def _varints(content: memoryview) -> np.ndarray:
    """Returns consecutive whole numbers, uint64."""
    every = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(every < 0x80)
    if not len(every):
        return np.zeros(0, np.uint64)
    if not len(ends) or ends[-1] != len(every) - 1:
        raise ValueError("a number without an end")
    starts = np.concatenate([[0], ends[:-1] + 1])
    places = np.arange(len(every)) - np.repeat(starts, ends - starts + 1)
    if places.max() > 9:
        raise ValueError("a number of more than 64 bits")
    parts = (every & 0x7F).astype(np.uint64) << (7 * places).astype(np.uint64)
    numbers: np.ndarray = np.bitwise_or.reduceat(parts, starts)
    return numbers
