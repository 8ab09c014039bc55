"""Locations: a row's image as text: a file, a record of a container, several files, or a part of a file.

    images/a.jpg                        a file
    train.hdf5::ISIC_001                the record of a container with this key
    a_red.png | a_green.png             two images, joined along their channels
    a.jpg [10, 20, 300, 400]            the part of an image at x, y, of this width and height in pixels
    a.jpg [10%, 20%, 50%, 40%]          the same in percent of the image's sides

If a file itself has such a name, the text means that file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

KEY, JOIN = "::", " | "
_BOX = re.compile(r"(?s)(.*) \[([^\[\]]*)\]")


@dataclass(frozen=True)
class Box:
    """A part of an image, in pixels, or with `is_percent` in percent of the image's sides."""

    x: float
    y: float
    width: float
    height: float
    is_percent: bool = False

    def __str__(self) -> str:
        unit = "%" if self.is_percent else ""
        return ", ".join(f"{number:g}{unit}" for number in (self.x, self.y, self.width, self.height))

    @classmethod
    def parse(cls, text: str) -> Box:
        """Returns the box of `10, 20, 300, 400`. Raises ValueError for other text."""
        numbers = [float(number.strip().removesuffix("%")) for number in text.split(",")]
        return cls.of(numbers, "%" in text)

    @classmethod
    def of(cls, numbers: Iterable[float], is_percent: bool = False) -> Box:
        """Returns the box of x, y, width and height."""
        x, y, width, height = numbers
        return cls(x, y, width, height, is_percent)


@dataclass(frozen=True)
class Part:
    """One image of a location: a file, the key of its record (empty for the whole file), and its box, if any."""

    file: str
    key: str = ""
    box: Box | None = None

    def files(self) -> list[str]:
        """Returns the files that it is read from: one, or those that match a pattern with `*`."""
        if "*" not in self.file or os.path.lexists(self.file):
            return [self.file]
        return list(_glob(self.file, Path(self.file).parent.stat().st_mtime_ns))


@lru_cache(maxsize=64)
def _glob(pattern: str, changed: int) -> tuple[str, ...]:
    """Returns the files of a pattern. `changed` is the time of the folder's last change."""
    folder, _, name = pattern.rpartition("/")
    return tuple(sorted(map(str, Path(folder or ".").glob(name))))


def parts_of(location: str | Path) -> tuple[Part, ...]:
    """Returns the images of a location, in the order of their channels.

    Raises ValueError for a box without four numbers.
    """
    text = os.fspath(location)
    if not (KEY in text or JOIN in text or text.endswith("]")) or os.path.lexists(text):
        return (Part(text),)
    box = None
    if match := _BOX.fullmatch(text):
        text, box = match[1], Box.parse(match[2])
    return tuple(_part(part, box) for part in text.split(JOIN))


def _part(text: str, box: Box | None) -> Part:
    file, _, key = text.partition(KEY) if not os.path.lexists(text) else (text, "", "")
    return Part(file, key, box)


def files_of(location: str | Path) -> list[str]:
    """Returns the files that a location is read from."""
    return [file for part in parts_of(location) for file in part.files()]


def with_box(location: str, box: Box | None) -> str:
    """Returns the part of an image inside a box, or the whole image without one."""
    return location if box is None else f"{location} [{box}]"
