"""ImageSource: from a row's location to its image, by the reader of the config, of the channels that are asked for.

`decode_files` decodes many files side by side, for the cache.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from kit.core.files import sha256
from kit.core.locations import Part, files_of, parts_of
from kit.core.pixel_types import convert
from kit.errors import Case, DataError
from kit.images import boxes
from kit.images.tiles import join_tiles
from kit.kinds import registry
from kit.kinds.reader import Decoded, Reader, ReadRules

if TYPE_CHECKING:
    from kit.config.models import Data
    from kit.core.files import StrPath
    from kit.images.cache import Geometry
    from kit.kinds.reader import Record

DECODE_AHEAD_BYTES = 2**24  # bytes of pixels that a worker may be ahead of what is stored

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Records:
    """The records of a location as its files store them, and a digest of their content."""

    parts: tuple[Part, ...]
    records: tuple[Record, ...]
    digest: str  # 64 hex digits
    is_tiled: bool = False  # the record is the picture of the image's tiles


@dataclass(frozen=True)
class ImageSource:
    """How images are read: the reader, the config's data section and the number of channels."""

    reader: Reader
    data: Data = field(hash=False)
    channels: int = 3

    @classmethod
    def open(cls, data: Data, root: StrPath | None = None, channels: int = 3) -> ImageSource:
        """The source that a config names. Raises PluginError, and ConfigError C24 for a missing package."""
        reader = Reader.open(data.reader, root, where="data.reader")
        reader.check_package()
        return cls(reader, data, channels)

    def load(self, location: Path) -> Records:
        """A location's records. Raises DataError for what cannot be read, without the path."""
        parts = parts_of(location)
        if self.data.tiles.count and len(parts) == 1 and not parts[0].box:
            tiled = self._try(lambda: self.reader.load_tiles(_only_file(parts[0]), parts[0].key, self.data))
            if tiled is not None:
                return Records(parts, (tiled,), _digest(parts, (tiled,)), True)
        records = tuple(self._load_part(part) for part in parts)
        return Records(parts, records, _digest(parts, records))

    def _load_part(self, part: Part) -> Record:
        return self._try(lambda: self.reader.load(_only_file(part), part.key))

    def _try(self, read: Callable[[], Made]) -> Made:
        """What the reader makes. Raises DataError D05 for an error of its library."""
        try:
            return read()
        except (DataError, MemoryError):
            raise
        except Exception as error:  # a library raises what its parsing happens to raise
            raise self._wrap(error) from error

    def _wrap(self, error: Exception) -> DataError:
        words = f"{type(error).__name__}: {error}".splitlines()[0]
        return DataError(f"reader {self.reader.plugin_name()!r}: {words}", code="D05")

    def decode(self, loaded: Records, least_side: int = 0) -> Decoded:
        """The image of a location's records, (height, width, channels) of `data.pixel_type`.

        Raises DataError for what cannot be decoded, and D15 for images of unlike sizes or other channels.
        """
        parts = loaded.parts
        each = max(1, self.channels // len(parts))
        is_whole = self.data.tiles.count or any(part.box for part in parts)
        rules = ReadRules(each, self.data.max_pixels, 0 if is_whole else least_side, self.data)
        made = [
            self._of_part(part, record, rules) for part, record in zip(parts, loaded.records, strict=True)
        ]
        repairs = tuple(note for one in made for note in one.repairs)
        pixels = self._join([one.pixels for one in made])
        if self.data.tiles.count and not loaded.is_tiled:
            pixels = join_tiles(pixels, self.data.tiles)
        return Decoded(pixels, repairs)

    def read(self, location: Path) -> Decoded:
        """The image at a location. Raises DataError, without the path."""
        return self.decode(self.load(location))

    def _of_part(self, part: Part, record: Record, rules: ReadRules) -> Decoded:
        made = self._try(lambda: self.reader.decode(record, rules))
        pixels = made.pixels[:, :, None] if made.pixels.ndim == 2 else made.pixels
        known = {"uint8", rules.pixel_type}
        if pixels.dtype.name not in known or pixels.ndim != 3 or 0 in pixels.shape:
            raise DataError(
                f"reader {self.reader.plugin_name()!r} gives {pixels.dtype} {pixels.shape}, not "
                f"{' or '.join(sorted(known))} (height, width, channels)",
                code="D15",
            )
        pixels = convert(pixels, rules.pixel_type)
        if pixels.shape[2] == 1 and rules.channels == 3:
            pixels = np.repeat(pixels, 3, axis=2)
        return replace(
            made, pixels=boxes.crop(pixels, part.box, self.data.box_margin) if part.box else pixels
        )

    def _join(self, images: Sequence[np.ndarray]) -> np.ndarray:
        sizes = {image.shape[:2] for image in images}
        if len(sizes) > 1:
            shown = ", ".join(f"{width} x {height}" for height, width in sorted(sizes))
            raise DataError(f"the row's images have unlike sizes ({shown} pixels)", code="D15")
        joined = images[0] if len(images) == 1 else np.concatenate(images, axis=2)
        if joined.shape[2] != self.channels:
            raise DataError(
                f"has {joined.shape[2]} channels, not {self.channels} (channels)",
                code="D15",
                hint=f"channels={joined.shape[2]}, if all images have so many",
            )
        return joined

    def fingerprint(self) -> list[object]:
        """What makes other pixels of the same records: empty for an RGB image of the reader `image`."""
        found: list[object] = []
        place = registry.location_of(type(self.reader))
        if place.name != "image" or self.reader.spec() != type(self.reader)().spec():
            found += [self.reader.spec(), self.reader.version]
        if place.source != "kit" and place.file:
            found.append(sha256(place.file))
        found += [["channels", self.channels]] if self.channels != 3 else []
        found += [["pixels", self.data.pixel_type]] if self.data.pixel_type != "uint8" else []
        found += [["tiles", self.data.tiles.model_dump()]] if self.data.tiles.count else []
        return found + ([["margin", self.data.box_margin]] if self.data.box else [])


def _only_file(part: Part) -> Path:
    files = part.files()
    return Path(files[0]) if len(files) == 1 else Path(part.file)


def _digest(parts: Sequence[Part], records: Sequence[Record]) -> str:
    """Of one file its SHA-256, so that copies of a file are one image; of arrays also the type and shape."""
    digests = []
    for part, record in zip(parts, records, strict=True):
        digest = hashlib.sha256()
        if isinstance(record, np.ndarray):
            digest.update(f"{record.dtype.str} {record.shape}".encode())
            digest.update(np.ascontiguousarray(record).view(np.uint8).data if record.size else b"")
        else:
            digest.update(record)
        digests.append(digest.hexdigest() + (f" {part.box}" if part.box else ""))
    if len(digests) == 1 and not parts[0].box:
        return digests[0]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class DecodedFile:
    """What became of one file: its stamp and hash, then its pixels, or why there are none."""

    path: Path
    stamp: list[int] = field(default_factory=list)
    name: str = ""
    pixels: np.ndarray | None = None
    notes: tuple[Case, ...] = ()
    bad: Case | None = None


def decode_files(
    paths: Sequence[Path], held: frozenset[str], geometry: Geometry, source: ImageSource, workers: int
) -> Generator[DecodedFile, None, None]:
    """What became of each file, in order; a bounded number is decoded ahead, side by side, also during a write."""
    import cv2

    cv2.setNumThreads(0)  # images are decoded side by side, cv2's own threads would only get in the way
    coming, most = iter(paths), max(4, min(32, DECODE_AHEAD_BYTES // geometry.square_bytes))
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[DecodedFile]] = deque()
        try:
            while True:
                for path in islice(coming, most * workers - len(ahead)):
                    ahead.append(pool.submit(_decode_file, path, held, geometry, source))
                if not ahead:
                    return
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _decode_file(path: Path, held: frozenset[str], geometry: Geometry, source: ImageSource) -> DecodedFile:
    name, before = "", []
    try:
        before = stat_key(path) if all(map(os.path.isfile, files_of(path))) else []
        loaded = source.load(path)
        name = loaded.digest
        if name in held:
            return DecodedFile(path, before, name)
        decoded = source.decode(loaded, geometry.cache_size if source.data.jpeg_scaling else 0)
        return DecodedFile(path, before, name, geometry.apply(decoded.pixels), decoded.repairs)
    except DataError as error:
        return DecodedFile(path, before, name, bad=Case(error.summary, path=str(path), code=error.code))


def stat_key(location: Path | str) -> list[int]:
    """What changes when a location's file does: size, time of its content and of its inode (nanoseconds), inode.

    Of several files the sum of each but the latest times.
    """
    found = [Path(file).stat() for file in files_of(location)]
    return [
        sum(each.st_size for each in found),
        max((each.st_mtime_ns for each in found), default=0),
        max((each.st_ctime_ns for each in found), default=0),
        sum(each.st_ino for each in found),
    ]
