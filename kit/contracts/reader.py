"""Contract tests of readers, on files that are not their images."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit.config.models import Data
from kit.core import files
from kit.core.randomness import generator
from kit.errors import DataError
from kit.images.reader import ImageSource
from kit.kinds import Reader

CODES = {"D01": "an empty file", "D02": "no file", "D08": "a folder"}
KEY = "x"


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _refusal(plugin: Reader, file: Path) -> DataError | None:
    """Returns the error for a file, as kit reads it; None if it gives an image."""
    key = "" if plugin.keys == "none" else KEY
    try:
        ImageSource(plugin, Data()).read(Path(f"{file}::{key}" if key else file))
    except DataError as error:
        return error
    return None


def law_a_file_that_is_not_there_is_refused(plugin: Reader) -> None:
    """A missing file is D02, an empty one D01 and a folder D08."""
    ending = plugin.endings[0] if plugin.endings else ".jpg"
    with _folder() as folder:
        (folder / f"D01{ending}").touch()
        (folder / f"D08{ending}").mkdir()
        for code, what in CODES.items():
            error = _refusal(plugin, folder / f"{code}{ending}")
            assert error is not None, f"{what} gives an image"
            assert error.code == code, f"{what} is {error.code} {error.summary}, not {code}"


def law_a_file_of_noise_is_refused(plugin: Reader) -> None:
    """Random bytes are not an image, and neither is a web page; kit's error does not name the path."""
    ending = plugin.endings[0] if plugin.endings else ".jpg"
    noise = generator(0, "laws of readers").bytes(4096)
    with _folder() as folder:
        for name, content in (("noise", noise), ("page", b"<!DOCTYPE html><html>not found</html>" * 20)):
            file = folder / f"{name}{ending}"
            files.write_bytes(file, content)
            error = _refusal(plugin, file)
            assert error is not None, f"{name} gives an image"
            assert str(folder) not in error.summary, f"{error.summary} names the path, which kit adds"
