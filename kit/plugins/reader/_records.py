"""The base of readers of containers: a record is an array, or an encoded image such as JPEG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kit.errors import DataError
from kit.kinds import Decoded, ReadRules
from kit.plugins.reader._arrays import ArrayReader
from kit.plugins.reader.image import Image

if TYPE_CHECKING:
    from kit.kinds.reader import Record

MAX_BYTES = 2**33  # bytes of one record
MAX_UNASKED_BYTES = 2**28  # bytes of a record, however few of them are stored
MAX_RATIO = 2000  # bytes of a larger record for each stored one; deflate has 1,032 at most
MAGIC = (
    b"\xff\xd8\xff",
    b"\x89PNG",
    b"GIF8",
    b"RIFF",
    b"BM",
    b"II*\0",
    b"MM\0*",
)  # first bytes of image files


class RecordReader(ArrayReader):
    """Reads records that are arrays or encoded images."""

    def decode(self, record: Record, rules: ReadRules) -> Decoded:
        return Image().decode(record, rules) if isinstance(record, bytes) else super().decode(record, rules)


def as_record(values: np.ndarray) -> Record:
    """Returns an array, or bytes if they start as an image file does."""
    if values.dtype == np.uint8 and values.ndim == 1 and values[:4].tobytes().startswith(MAGIC):
        return values.tobytes()
    return values


def check_bytes(count: int, stored: int | None = None) -> None:
    """Raises DataError D10 for a record that claims too many bytes, or too many for its `stored` bytes."""
    if count > MAX_BYTES:
        raise DataError(f"claims {count:,} bytes, more than the limit {MAX_BYTES:,}", code="D10")
    if stored is not None and count > MAX_UNASKED_BYTES and count > MAX_RATIO * stored:
        raise DataError(f"claims {count:,} bytes, and only {stored:,} are stored", code="D10")


def unknown_key(key: str, count: int, example: str = "") -> DataError:
    """Returns the error for a key that a container does not have."""
    example_text = f", such as {example!r}" if example else ""
    return DataError(f"no record {key!r} among {count:,}{example_text}", code="D02")
