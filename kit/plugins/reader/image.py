"""Image files: JPEG, PNG, WebP, TIFF and others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.errors import DataError
from kit.kinds import Decoded, Reader, ReadRules

if TYPE_CHECKING:
    from kit.kinds.reader import Record


class Image(Reader):
    """Image files, upright and in RGB: JPEG, PNG, WebP, BMP, GIF, AVIF and TIFF.

    `data.extensions` lists their endings. With `channels=1`, and for each of several files of a row, it gives the
    luminance.

    Source: libjpeg-turbo as OpenCV has it for JPEG, Pillow for the rest (kit.images.reader).
    """

    def decode(self, record: Record, rules: ReadRules) -> Decoded:
        from kit.images.reader import decode

        if not isinstance(record, bytes):
            raise DataError("is an array, not an image file (data.reader=npy reads arrays)", code="D06")
        decoded = decode(record, rules.data, rules.least_side)
        if rules.channels != 1:
            return decoded
        import cv2

        return Decoded(cv2.cvtColor(decoded.pixels, cv2.COLOR_RGB2GRAY), decoded.repairs)
