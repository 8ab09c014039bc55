"""Finds the data of an AVIF's images, and checks that they are complete.

Source: ISO/IEC 14496-12 (boxes, meta, iinf, iloc), and the AV1 specification, 8.2.4: a tile's data end in a bit
that is 1, so no encoder ends them in zeros.
"""

from __future__ import annotations

from collections.abc import Iterator

_LONGEST_RUN = 1  # of zeros, or of FF, at the end of an image's data


def fault(content: bytes) -> str:
    """Returns the fault of the images' data; empty if there is none, or if their offsets are unknown."""
    try:
        items = list(_items(content))
    except (IndexError, ValueError):
        return ""
    for start, stop in items:
        if stop > len(content):
            return "it is cut off"
        data = content[start:stop]
        if any(len(data) - len(data.rstrip(filler)) > _LONGEST_RUN for filler in (b"\0", b"\xff")):
            return "the data of an image ends in zeros or FF bytes"
    return ""


def _items(content: bytes) -> Iterator[tuple[int, int]]:
    """Yields start and stop of each image's last part in the file."""
    meta = next(
        ((start, stop) for name, start, stop in _boxes(content, 0, len(content)) if name == b"meta"), None
    )
    if meta is None:
        return
    boxes = {name: (start, stop) for name, start, stop in _boxes(content, meta[0] + 4, meta[1])}
    if b"iloc" not in boxes or b"iinf" not in boxes:
        return
    images = _images(content, *boxes[b"iinf"])
    for number, in_file, start, stop in _places(content, *boxes[b"iloc"]):
        if number in images and in_file and stop > start:
            yield start, stop


def _boxes(content: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields name, start and stop of each box's body."""
    while at + 8 <= end:
        size, name, head = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(content[at + 8 : at + 16], "big"), 16
        if size == 0:
            size = end - at
        if size < head:
            raise ValueError("a box smaller than its own header")
        yield name, at + head, at + size
        at += size


def _images(content: bytes, start: int, stop: int) -> set[int]:
    """Returns the numbers of the items that are AV1 images."""
    wide = content[start] != 0  # the count's width
    types = set()
    for name, at, _end in _boxes(content, start + (8 if wide else 6), stop):
        version = content[at]
        if name == b"infe" and version >= 2:
            width = 4 if version > 2 else 2
            kind = content[at + 6 + width : at + 10 + width]
            if kind == b"av01":
                types.add(int.from_bytes(content[at + 4 : at + 4 + width], "big"))
    return types


def _places(content: bytes, start: int, stop: int) -> Iterator[tuple[int, bool, int, int]]:
    """Yields for each item its number, whether it is stored in the file, and the start and stop of its last part."""
    at, version = start + 4, content[start]

    def take(width: int) -> int:
        nonlocal at
        if at + width > stop:
            raise ValueError("the list of items is cut off")
        at += width
        return int.from_bytes(content[at - width : at], "big")

    sizes, more = take(1), take(1)
    offset_width, length_width, base_width = sizes >> 4, sizes & 15, more >> 4
    index_width = more & 15 if version in (1, 2) else 0
    for _ in range(take(4 if version == 2 else 2)):
        number = take(4 if version == 2 else 2)
        method = take(2) & 15 if version in (1, 2) else 0
        take(2)
        base = take(base_width)
        span = (0, 0)
        for _ in range(take(2)):
            take(index_width)
            offset, length = base + take(offset_width), take(length_width)
            span = (offset, offset + length)
        yield number, method == 0, *span
