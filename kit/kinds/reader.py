"""The kind of reader: from a file, or a record of a container, to an image of any number of channels."""

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
    """An image's pixels, and the repairs made while decoding: a code and a detail each.

    The caller adds the path.
    """

    pixels: np.ndarray
    repairs: tuple[Case, ...] = ()


@dataclass(frozen=True)
class ReadRules:
    """Requirements for a decoded image."""

    channels: int = 3
    max_pixels: int = 100_000_000
    least_side: int = 0  # if above 0, the image may be smaller: the minimum of its short side in pixels
    data: Any = field(default=None, hash=False)  # the config's data section

    @property
    def pixel_type(self) -> PixelType:
        """The requested pixel type; uint8 is always valid."""
        return "uint8" if self.data is None else self.data.pixel_type


class Reader(Plugin):
    """Reads an image from a file, or from a container by the key of its record."""

    kind: ClassVar[str] = "reader"
    package: ClassVar[str] = ""  # the package that must be installed
    extra: ClassVar[str] = ""  # the extra of kit that has the package
    endings: ClassVar[tuple[str, ...]] = ()  # of its files, in lower case
    keys: ClassVar[Keys] = "none"  # whether a file holds several images, each with a key
    version: ClassVar[int] = 1  # increases when the same file gives other pixels

    def load(self, file: Path, key: str) -> Record:
        """Returns an image as its file stores it: bytes, or an array. Default: all bytes of the file.

        Several threads call it. `key` is empty for the whole file. Raises DataError D01, D02, D05, D08 or
        D09.
        """
        if key:
            raise DataError(f"reader {self.plugin_name()!r} reads whole files, and has no keys", code="D02")
        return read_image_bytes(file)

    def load_tiles(self, file: Path, key: str, data: Any) -> Record | None:
        """Returns the mosaic of an image's tiles, by `data.tiles`, as an array that `decode` takes.

        It is for images that are too large for the memory. Default: None, and `load` reads the whole image.
        """
        return None

    def decode(self, record: Record, rules: ReadRules) -> Decoded:
        """Returns the image of a record, (height, width) or (height, width, channels), uint8 or of `rules.pixel_type`.

        Several threads call it. Raises DataError D03 to D17 without the path, which the caller adds.
        """
        raise NotImplementedError

    def order(self, locations: Sequence[Path]) -> list[Path]:
        """Returns the locations in the order in which they are read fastest. Default: as given."""
        return list(locations)

    def find_keys(self, files: Sequence[Path], columns: Collection[str]) -> list[tuple[str, frozenset[str]]]:
        """Returns the prefix before the keys of containers, such as `images/`, and the keys themselves.

        `columns` are the names of tables' columns, by which a container may name its records. Default: empty.
        """
        return []

    def text_columns(self, names: Sequence[str]) -> list[str]:
        """Returns the columns of the table that are not pixels. Default: all."""
        return list(names)

    def suggest(self, locations: Sequence[Path]) -> tuple[Self, str]:
        """Returns the recipe with options that fit some images, and the reason: `kit init` writes both.

        Default: itself.
        """
        return self, ""

    def check_package(self) -> None:
        """Raises ConfigError C24 if a required package is not installed."""
        require_package(
            self.package, f"reader {self.plugin_name()!r}", "convert the images to PNG", extra=self.extra
        )
