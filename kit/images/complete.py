"""Detects incomplete files: an interrupted copy is truncated, or has the full length and zeros at its end.

Decoders read such zeros as data, and give a wrong image that looks complete. Each format has a way to detect
it: checksums, end marks, sizes, or data that a decoder does not need.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from kit.errors import DataError
from kit.images import avif

_LONGEST_RUN = 3  # bytes of FF at the end of a WebP's data; encoders write one at most
_METADATA_ZEROS = 16  # bytes
_DISK_BLOCK = 512  # bytes
_LARGE_PART = 0.25
_CRITICAL = 0x20  # the bit of a PNG chunk's name that is not set in chunks that an image needs
# Bytes; an encoder writes fewer bytes than this beyond those that a decoder needs. Zeros may end valid data,
# if the last blocks are plain, so a run of them is only a reason to check.
_SPARE = {b"VP8 ": 4, b"VP8L": 2}


def check_complete(content: bytes, form: str) -> None:
    """Raises DataError D05 for a PNG, GIF, WebP, AVIF or BMP with missing or damaged parts."""
    reader = {
        "PNG": _png_fault,
        "GIF": _gif_fault,
        "WEBP": _webp_fault,
        "AVIF": avif.fault,
        "BMP": _bmp_fault,
    }.get(form)
    fault = reader(content) if reader else ""
    if fault:
        raise corrupt(content, form, fault)


def corrupt(content: bytes, form: str, fault: str) -> DataError:
    """Returns the error for a damaged file, which mentions its tail of zeros if it has one."""
    zeros = len(content) - len(content.rstrip(b"\0"))
    tail = f"; its last {zeros:,} bytes are zero, as after an interrupted copy" if zeros > 1 else ""
    return DataError(f"corrupt {form}: {fault}{tail}", code="D05", hint="download the file again")


def ends_in_zeros(content: bytes) -> bool:
    """Whether the file ends in more zeros than the last block of good metadata does."""
    return content.endswith(b"\0" * _METADATA_ZEROS)


def suspicious_zeros(content: bytes) -> int:
    """Returns the number of zeros at the end of a file of uncompressed pixels, if they may come from an
    interrupted copy; else 0.

    Black pixels are zeros too. Copies stop at a multiple of a disk's block, or leave a large part of the
    file.
    """
    zeros = len(content) - len(content.rstrip(b"\0"))
    if zeros < _DISK_BLOCK:
        return 0
    return zeros if (len(content) - zeros) % _DISK_BLOCK == 0 or zeros > _LARGE_PART * len(content) else 0


def _png_fault(content: bytes) -> str:
    """Checks the checksums of the chunks that an image needs, and its last chunk."""
    at, view = 8, memoryview(content)
    while at + 12 <= len(content):
        name = content[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        if end > len(content):
            return f"it is cut off in the chunk {name.decode('latin-1')!r}"
        is_needed = not name[0] & _CRITICAL or name in (b"tRNS", b"eXIf")
        if is_needed and zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(content[end - 4 : end], "big"):
            return f"the checksum of the chunk {name.decode('latin-1')!r} is wrong"
        if name == b"IEND":
            return ""
        at = end
    return "it ends before its last chunk (IEND)"


def _gif_fault(content: bytes) -> str:
    """Checks the blocks of the first frame, and what follows them: a block, or the end mark."""
    at = 13 + _palette(content[10] if len(content) > 10 else 0)
    while at < len(content):
        kind = content[at]
        if kind == 0x21:
            at = _behind_blocks(content, at + 2)
        elif kind == 0x2C:
            flags = content[at + 9] if at + 9 < len(content) else 0
            return _frame_end_fault(content, _behind_blocks(content, at + 11 + _palette(flags)))
        elif kind == 0x3B:
            break
        else:
            at += 1
    return "it ends before its first image"


def _frame_end_fault(content: bytes, at: int) -> str:
    if at > len(content):
        return "it is cut off in its first image"
    rest = content[at:].lstrip(b"\0")
    if (not rest and at == len(content)) or rest[:1] in (b"\x21", b"\x2c", b"\x3b"):
        return ""
    return "it ends in its first image"


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _behind_blocks(content: bytes, at: int) -> int:
    """Returns the end of a GIF's data blocks, which an empty one closes; beyond the file's end if none does."""
    while at < len(content) and content[at]:
        at += 1 + content[at]
    return at + 1


def _bmp_fault(content: bytes) -> str:
    """Checks a compressed BMP by its end mark. An uncompressed one has no end mark."""
    is_compressed = (
        len(content) > 34 and content[14] >= 40 and content[30] in (1, 2) and not any(content[31:34])
    )
    return "it has no end marker" if is_compressed and b"\0\1" not in content[-64:].rstrip(b"\0")[-2:] else ""


def _webp_fault(content: bytes) -> str:
    """Checks RIFF's length and chunks, and whether a decoder needs the last bytes of the data."""
    end = 8 + int.from_bytes(content[4:8], "little")
    if end > len(content):
        return f"it has {len(content):,} bytes, but its header says {end:,}"
    for name, start, stop in _chunks(content, 12, end):
        if stop > len(content) or name in (b"\0\0\0\0", b"\xff\xff\xff\xff"):
            return "it is cut off"
        if name in (b"VP8 ", b"VP8L"):
            fault = _surplus_fault(name, content[start:stop])
            if fault:
                return fault
    return ""


def _chunks(content: bytes, at: int, end: int, is_inside: bool = False) -> Iterator[tuple[bytes, int, int]]:
    """Yields name, start and stop of each chunk; for an animation the first frame with its inner chunks."""
    while at + 8 <= end:
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        yield name, at + 8, at + 8 + size
        if name == b"ANMF" and not is_inside:
            is_inside = True
            yield from _chunks(content, at + 24, min(end, at + 8 + size), True)
        at += 8 + size + size % 2


def _surplus_fault(name: bytes, data: bytes) -> str:
    """Checks a WebP's data: a decoder needs all except the last few bytes, and almost none of a tail of zeros."""
    zeros = len(data) - len(data.rstrip(b"\0"))
    if len(data) - len(data.rstrip(b"\xff")) > _LONGEST_RUN:
        return "its data ends in FF bytes"
    if zeros < _SPARE[name] or not _is_decodable(name, data[: -_SPARE[name]]):
        return ""
    return "its data ends in zeros after the last pixel"


def _is_decodable(name: bytes, data: bytes) -> bool:
    from PIL import Image

    chunk = name + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)
    content = b"RIFF" + (4 + len(chunk)).to_bytes(4, "little") + b"WEBP" + chunk
    opener: Any = Image.OPEN["WEBP"][0]
    try:
        opener(BytesIO(content), "").load()
    except Exception:  # any error of Pillow's parsers
        return False
    return True
