"""Images as bytes, drawn for the tests of reading them."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from kit.config.models import Data
from kit.errors import DataError
from kit.images.reader import decode

DATA = Data()


def drawn(height: int = 96, width: int = 128, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    blurred: np.ndarray = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return blurred


def encoded(image: np.ndarray | Image.Image, form: str, **options: Any) -> bytes:
    buffer = BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, form, **options)
    return buffer.getvalue()


def png(width: int, height: int, raw: bytes, interlaced: int = 0) -> bytes:
    """An RGB PNG whose data is `raw`, whatever its header claims."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def refused(content: bytes, data: Data = DATA) -> DataError:
    with pytest.raises(DataError) as caught:
        decode(content, data)
    return caught.value


def codes(content: bytes) -> list[str]:
    return [note.code for note in decode(content, DATA).repairs]
