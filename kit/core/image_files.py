"""Reads the content of an image's file, or explains why it cannot be read."""

from __future__ import annotations

from pathlib import Path

from kit.errors import DataError


def read_image_bytes(path: Path, count: int = -1) -> bytes:
    """Returns a file's content, or its first `count` bytes.

    Raises DataError D01, D02, D08 or D09 without the path, which the caller adds.
    """
    try:
        content = path.read_bytes() if count < 0 else _beginning(path, count)
    except FileNotFoundError:
        raise DataError(
            "no image at this path", code="D02", hint="data.images is the pattern of the path"
        ) from None
    except IsADirectoryError:
        raise DataError("is a directory", code="D08") from None
    except PermissionError:
        raise DataError("permission denied", code="D09") from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", code="D09") from None
    if not content:
        raise DataError("empty file", code="D01")
    return content


def _beginning(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)
