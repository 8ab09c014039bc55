"""Reads JPEG properties that decoders do not report: the claimed number of pixels, and the orientation."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from kit.errors import DataError

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0-15 without DHT, JPG and DAC
# The TIFF types that an orientation may have, by number: SHORT and LONG, and their signed kinds.
_WHOLE_NUMBERS = {3: "H", 4: "I", 8: "h", 9: "i"}
# TEM, RST0-7 and SOI have no length; 00 is stuffing and FF padding.
_LONE = frozenset((0x00, 0x01, *range(0xD0, 0xD9), 0xFF))


@dataclass(frozen=True)
class Header:
    """A JPEG's frame from its header. `scan` is the offset of the compressed data."""

    width: int
    height: int
    components: int
    bits: int
    scan: int
    exif: bytes


def header(content: bytes) -> Header:
    """Returns the header of a JPEG's first image. Raises DataError D03 if the file ends before the image starts.

    Bytes between two segments are skipped up to the next marker, as libjpeg does.
    """
    frame, exif, at = None, b"", 2
    while at + 4 <= len(content):
        if content[at] != 0xFF:
            at = content.find(b"\xff", at)
            if at < 0:
                break
            continue
        marker = content[at + 1]
        if marker in _LONE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        body = content[at + 4 : at + 2 + length]
        if marker in _FRAMES and len(body) >= 6:
            frame = struct.unpack(">BHHB", body[:6])
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            exif = exif or body
        if marker == 0xDA and frame:
            bits, height, width, components = frame
            return Header(width, height, components, bits, at, exif)
        at += 2 + length
    raise DataError("truncated JPEG (incomplete header)", code="D03", hint="download the file again")


def orientation(exif: bytes) -> int:
    """Returns the EXIF orientation, 1 to 8; 1 without one. Raises ValueError for a broken block."""
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    try:
        if order is None:
            raise ValueError("no TIFF header")
        (start,) = struct.unpack_from(order + "I", block, 4)
        (entries,) = struct.unpack_from(order + "H", block, start)
        for entry in range(start + 2, start + 2 + 12 * entries, 12):
            tag, kind, count = struct.unpack_from(order + "HHI", block, entry)
            if kind == 0:
                raise ValueError("an entry without a type")
            if tag == 0x0112:
                if kind not in _WHOLE_NUMBERS or count < 1:
                    raise ValueError(f"an orientation of type {kind}")
                (value,) = struct.unpack_from(order + _WHOLE_NUMBERS[kind], block, entry + 8)
                if not 1 <= value <= 8:
                    raise ValueError(f"orientation {value}")
                return int(value)
    except struct.error:
        raise ValueError("it points outside its own data") from None
    return 1
