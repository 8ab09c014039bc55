"""Checks that a JPEG's compressed data is complete, because libjpeg fills in missing data without a warning."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from io import BytesIO

END = b"\xff\xd9"
# Compressed data holds FF only before 00 and before restart markers; FF FF is padding before a marker.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_SOS, _DRI, _EOI = 0xDA, 0xDD, 0xD9
_WITH_LENGTH = frozenset((*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE)) - {0xC8}
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
# possible continuations of missing data; none contains a marker
_FILLERS = (b"\x55\x2a\xc7\x91" * 256, b"\x00" * 1024, b"\xfe" * 1024, b"\xa9\x36\x5c" * 341)


@dataclass(frozen=True)
class _Component:
    across: int  # sampling factors
    down: int


@dataclass
class _Scans:
    """The scans of a JPEG's first image that are present."""

    width: int = 0
    height: int = 0
    progressive: bool = False
    components: dict[int, _Component] = field(default_factory=dict)
    # component and coefficient -> the number of its bits that are still to come; 0 when it is complete
    missing_bits: dict[tuple[int, int], int] = field(default_factory=dict)
    interval: int = 0  # MCUs between two restart markers, 0 for none
    last: tuple[int, ...] = ()  # the components of the last scan
    data_at: int = 0  # offset of the last scan's compressed data
    end: int | None = None  # offset of the end marker


def end_of_image(content: bytes, scan: int) -> int | None:
    """Returns the offset of the first image's end marker, or None if it is missing.

    `scan` is the offset of its first scan.

    Data after the first image (a second picture, a phone's video) does not count.
    """
    if content.endswith(END):
        return len(content) - 2
    return _read_scans(content, scan).end


def is_whole(content: bytes, scan: int) -> bool:
    """Whether the compressed data is complete.

    Every scan that the frame needs must be present, and the last one must have all its restart markers. The
    pixels of a complete scan do not depend on the bytes after its data, so it decodes to the same with
    anything appended. This costs several decodings, so call it only if something is suspicious. Pillow
    decodes, because cv2 lets libjpeg write to stderr.
    """
    scans = _read_scans(content, 2)
    data = content[: scans.end] if scans.end is not None else without_padding(content, scan)
    if scans.end is None:
        scans = _read_scans(data, 2)
        if not _has_all_scans(scans):
            return False
    if scans.interval and len(_RESTART.findall(data, scans.data_at)) < _restarts(scans):
        return False
    first, *others = (_decode(data + filler + END) for filler in (b"", *_FILLERS))
    return first is not None and all(other == first for other in others)


def without_padding(content: bytes, scan: int) -> bytes:
    """Returns the JPEG up to the zeros or FFs that an interrupted copy leaves in place of its tail."""
    data = content.rstrip(b"\x00\xff")
    tail = content[len(data) :]
    if tail[:2] == b"\xff\x00":  # a data byte FF in compressed data
        return data + tail[:2]
    if tail[:1] == b"\x00" and len(tail.rstrip(b"\xff")) == 1:  # an interrupted copy leaves more than one
        return data + tail[:1]
    return data if len(data) > scan else content[:scan]


def _read_scans(content: bytes, at: int) -> _Scans:
    """Follows the markers from `at` to the end marker, or to the end of the content."""
    scans = _Scans()
    while True:
        marker_match = _MARKER.search(content, at)
        if marker_match is None:
            return scans
        at, marker = marker_match.end(), content[marker_match.end() - 1]
        if marker == _EOI:
            scans.end = marker_match.start()
            return scans
        if marker not in _WITH_LENGTH:
            continue
        length = int.from_bytes(content[at : at + 2], "big")
        body = content[at + 2 : at + length]
        at += max(2, length)
        if marker == _SOS:
            _add_scan(scans, body)
            scans.data_at = at
        elif marker == _DRI:
            scans.interval = int.from_bytes(body[:2], "big")
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xCC):
            _set_frame(scans, marker, body)


def _set_frame(scans: _Scans, marker: int, body: bytes) -> None:
    if len(body) < 6 or scans.components:
        return
    scans.height, scans.width = (int.from_bytes(body[at : at + 2], "big") for at in (1, 3))
    scans.progressive = marker in _PROGRESSIVE
    for at in range(6, min(len(body) - 2, 6 + 3 * body[5]), 3):
        scans.components[body[at]] = _Component(max(1, body[at + 1] >> 4), max(1, body[at + 1] & 15))
    scans.missing_bits = {(name, index): 99 for name in scans.components for index in range(64)}


def _add_scan(scans: _Scans, body: bytes) -> None:
    count = body[0] if body else 0
    if len(body) < 1 + 2 * count + 3:
        return
    scans.last = tuple(body[1 + 2 * at] for at in range(count))
    first, last, bits = body[1 + 2 * count], body[2 + 2 * count], body[3 + 2 * count] & 15
    if not scans.progressive:
        first, last, bits = 0, 63, 0
    for name in scans.last:
        for index in range(first, min(last, 63) + 1):
            scans.missing_bits[name, index] = bits


def _has_all_scans(scans: _Scans) -> bool:
    return bool(scans.missing_bits) and not any(scans.missing_bits.values())


def _restarts(scans: _Scans) -> int:
    """Returns the number of restart markers that the last scan needs (ITU-T T.81, A.2 and E.1.4)."""
    components = [scans.components[name] for name in scans.last if name in scans.components]
    if not components:
        return 0
    most_across = max(component.across for component in scans.components.values())
    most_down = max(component.down for component in scans.components.values())
    across, down = 8 * most_across, 8 * most_down
    units = -(-scans.width // across) * -(-scans.height // down)
    if len(components) == 1:  # its units are its own blocks
        wide = -(-scans.width * components[0].across // most_across)
        tall = -(-scans.height * components[0].down // most_down)
        units = -(-wide // 8) * -(-tall // 8)
    return -(-units // scans.interval) - 1


def _decode(content: bytes) -> bytes | None:
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        return JpegImageFile(BytesIO(content)).tobytes()
    except (OSError, SyntaxError):
        return None
