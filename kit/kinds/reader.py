"""Kind of reading: from a file, or a record of a container, to an image of any number of channels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from kit.core.image_files import read_image_bytes
from kit.core.installed import require_package
from kit.core.pixel_types import PixelType
from kit.errors import Case, DataError
from kit.kinds.plugin import Plugin

if TYPE_CHECKING:
    import numpy as np

    Record = bytes | np.ndarray

Keys = Literal["none", "optional", "required"]


@dataclass(frozen=True, eq=False)
class Decoded:
    """An image's pixels, and the repairs made while decoding: a code and a detail each. The caller adds the
    path.
    """

    pixels: np.ndarray
    repairs: tuple[Case, ...] = ()


@dataclass(frozen=True)
class ReadRules:
    """What is asked of an image that is decoded."""

    channels: int = 3
    max_pixels: int = 100_000_000
    least_side: int = 0  # above 0, the image may come smaller, with its short side at so many pixels or more
    data: Any = field(default=None, hash=False)  # the config's data section

    @property
    def pixel_type(self) -> PixelType:
        """The type of pixels that is asked for; uint8 is always right."""
        return "uint8" if self.data is None else self.data.pixel_type


class Reader(Plugin):
    """Reads an image from a file, or from a container by the key of its record."""

    kind: ClassVar[str] = "reader"
    package: ClassVar[str] = ""  # what must be installed for it
    extra: ClassVar[str] = ""  # the extra of kit that has the package
    endings: ClassVar[tuple[str, ...]] = ()  # of its files, in small letters
    keys: ClassVar[Keys] = "none"  # whether a file holds several images, each with a key
    version: ClassVar[int] = 1  # goes up whenever the same file gives other pixels

    def load(self, file: Path, key: str) -> Record:
        """An image as its file stores it: bytes, or an array. Default: all bytes of the file.

        Several threads call it. `key` is blank for the whole file. Raises DataError D01, D02, D05, D08 or D09.
        """
        if key:
            raise DataError(f"reader {self.plugin_name()!r} reads whole files, and has no keys", code="D02")
        return read_image_bytes(file)

    def load_tiles(self, file: Path, key: str, data: Any) -> Record | None:
        """The picture of the tiles of an image, by `data.tiles`, as an array that `decode` takes.

        For images that are too large for the memory. Default: None, and `load` reads the whole image.
        """
        return None

    def decode(self, record: Record, rules: ReadRules) -> Decoded:
        """The image of a record, (height, width) or (height, width, channels), uint8 or of `rules.pixel_type`.

        Several threads call it. Raises DataError D03 to D17, which leave the path to the caller.
        """
        raise NotImplementedError

    def order(self, locations: Sequence[Path]) -> list[Path]:
        """The locations in the order in which they are read fastest. Default: as given."""
        return list(locations)

    def find_keys(self, files: Sequence[Path], columns: Collection[str]) -> list[tuple[str, frozenset[str]]]:
        """What stands before the keys of containers, such as `images/`, and the keys themselves.

        `columns` are the names of tables' columns, by which a container may name its records. Default: none.
        """
        return []

    def text_columns(self, names: Sequence[str]) -> list[str]:
        """The columns of the table of rows that are not pixels. Default: all."""
        return list(names)

    def suggest(self, locations: Sequence[Path]) -> tuple[Self, str]:
        """The recipe with options that fit some images, and in words why: what `kit init` writes. Default: itself."""
        return self, ""

    def check_package(self) -> None:
        """Raises ConfigError C24 if a package that it needs is not installed."""
        require_package(
            self.package, f"reader {self.plugin_name()!r}", "convert the images to PNG", extra=self.extra
        )
