"""What decoders keep to themselves about a JPEG: how many pixels it claims, its orientation, whether it is whole."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO

from kit.errors import DataError

END = b"\xff\xd9"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0-15 without DHT, JPG and DAC
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))  # TEM, RST0-7, SOI: markers without a length
# Ways in which missing data could go on; none holds a marker.
_FILLERS = (b"\x55\x2a\xc7\x91" * 256, b"\x00" * 1024, b"\xfe" * 1024)


@dataclass(frozen=True)
class Header:
    """A JPEG's frame as its header claims it; `scan` is where the compressed data begins."""

    width: int
    height: int
    components: int
    bits: int
    scan: int
    exif: bytes


def header(content: bytes) -> Header:
    """The header of a JPEG's first image. Raises DataError D03 where the file ends before the image begins."""
    frame, exif, at = None, b"", 2
    while at + 4 <= len(content):
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        if content[at] != 0xFF:
            break
        if marker == 0xFF or marker in _STANDALONE:
            at += 1 if marker == 0xFF else 2
            continue
        body = content[at + 4 : at + 2 + length]
        if marker in _FRAMES and len(body) >= 6:
            frame = struct.unpack(">BHHB", body[:6])
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            exif = exif or body
        if marker == 0xDA and frame:
            bits, height, width, components = frame
            return Header(width, height, components, bits, at, exif)
        at += 2 + length
    raise DataError("truncated JPEG (its header is not complete)", code="D03")


def orientation(exif: bytes) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none. Raises ValueError for a block that is broken."""
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    try:
        if order is None:
            raise ValueError("no TIFF header")
        (start,) = struct.unpack_from(order + "I", block, 4)
        (entries,) = struct.unpack_from(order + "H", block, start)
        for entry in range(start + 2, start + 2 + 12 * entries, 12):
            tag, _type, _count, value = struct.unpack_from(order + "HHIH", block, entry)
            if tag == 0x0112:
                if not 1 <= value <= 8:
                    raise ValueError(f"orientation {value}")
                return int(value)
    except struct.error:
        raise ValueError("it points outside of itself") from None
    return 1


def ended(content: bytes, scan: int) -> bool:
    """Whether the end mark stands anywhere behind the beginning of the compressed data."""
    return content.rfind(END, scan) >= 0


def closed(content: bytes, scan: int) -> bytes:
    """The same JPEG with an end mark, without which cv2 decodes nothing."""
    return content if ended(content, scan) else content.rstrip(b"\xff") + END


def is_whole(content: bytes, scan: int) -> bool:
    """Whether nothing is missing from the compressed data.

    libjpeg makes up what is missing and goes on. The pixels of a whole image do not depend on what follows its
    data, so with anything appended it decodes to the same. This costs four decodings: ask it only where something
    is odd. Pillow decodes, because cv2 lets libjpeg write to stderr.
    """
    whole = closed(content, scan)
    data = whole[: whole.rfind(END, scan)]
    first, *others = (_decoded(data + filler + END) for filler in (b"", *_FILLERS))
    return first is not None and all(other == first for other in others)


def _decoded(content: bytes) -> bytes | None:
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        return JpegImageFile(BytesIO(content)).tobytes()
    except (OSError, SyntaxError):
        return None
