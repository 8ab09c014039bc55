"""The image reader: all images for networks and for people are read here.

An image is uint8 RGB of shape (height, width, 3). Silent changes of decoders (invented pixels, clipped 16
bits, dropped transparency, ignored orientation) are errors or notes here.

`ImageSource` reads the image of a row's location, by the reader of the config, with the requested channels.
`decode_files` decodes many files in parallel, for the cache.
"""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

from kit.core import file_formats
from kit.core.arrays import Pixels
from kit.core.files import sha256
from kit.core.image_files import read_image_bytes
from kit.core.locations import Part, files_of, parts_of
from kit.core.pixel_types import convert
from kit.errors import Case, DataError, KitWarning
from kit.images import boxes, complete, containers, high_bit_depth, jpeg, jpeg_scans, tiff
from kit.images.channels import in_groups
from kit.images.tiles import join_tiles
from kit.kinds import registry
from kit.kinds.reader import Decoded, Reader, ReadRules

if TYPE_CHECKING:
    from PIL.Image import Image

    from kit.config.models import Data
    from kit.core.files import StrPath
    from kit.images.cache import Geometry
    from kit.kinds.reader import Record

# increases when the same file gives other pixels, or is newly refused, so that caches are rebuilt
READER = 2
NARROW_PX = 8  # pixels; a shorter side gives a warning
_REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
_WHOLE = cv2.IMREAD_COLOR

# EXIF orientation -> the upright pixels (EXIF 2.32, tag 274)
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}


def read_image(path: Path, data: Data) -> np.ndarray:
    """Returns a file's image, upright uint8 RGB of shape (height, width, 3).

    An animation gives its first frame. Raises DataError D01 to D13, naming the file. Warns of repairs: D04,
    W07, W08, W09.
    """
    try:
        decoded = decode(read_image_bytes(path), data)
    except DataError as error:
        raise DataError(f"{path}: {error.summary}", code=error.code, hint=error.hint) from None
    for note in decoded.repairs:
        warnings.warn(KitWarning(f"{note.code} {path}: {note.detail}"), stacklevel=2)
    return decoded.pixels


def decode(content: bytes, data: Data, least: int = 0) -> Decoded:
    """Returns the image in a file's content.

    With `least`, a JPEG may come at 1/2, 1/4 or 1/8, with a short side of at least `least` pixels, which is
    several times faster.

    Raises DataError D03 to D13 without the path, which the caller adds.
    """
    form = file_formats.sniff(content)
    decoded = _jpeg(content, data, least) if form == "JPEG" else _other(content, form, data)
    height, width = decoded.pixels.shape[:2]
    if min(height, width) >= NARROW_PX:
        return decoded
    return Decoded(decoded.pixels, (*decoded.repairs, Case(f"is only {width} x {height} pixels", code="W09")))


def _jpeg(content: bytes, data: Data, least: int) -> Decoded:
    """Decodes by cv2's libjpeg-turbo: equal to Pillow's pixels and twice as fast."""
    header = jpeg.header(content)
    _refuse_claim(header.width, header.height, data)
    whole = content
    if jpeg_scans.end_of_image(content, header.scan) is None:
        if not jpeg_scans.is_whole(content, header.scan):
            raise _truncation_error(content)
        whole = jpeg_scans.without_padding(content, header.scan) + jpeg_scans.END
    decoded = _jpeg_pixels(whole, header, data, least)
    if whole is content:
        return decoded
    note = Case("JPEG without end marker, all pixels are present", code="D04")
    return Decoded(decoded.pixels, (*decoded.repairs, note))


def _jpeg_pixels(content: bytes, header: jpeg.Header, data: Data, least: int) -> Decoded:
    """Decodes a JPEG that has its end marker."""
    if header.components not in (1, 3):  # CMYK, whose inks Adobe inverts, as Pillow knows
        return _other(content, "JPEG", data)
    if header.bits != 8:
        raise DataError(f"{header.bits}-bit JPEG", code="D11", hint="convert it to 8 bits per channel")
    short = min(header.width, header.height)
    flag = next((flag for by, flag in _REDUCED.items() if least and short >= by * least), _WHOLE)
    pixels = _rgb(content, flag)
    # libjpeg fills missing data with plain grey, so a suspicious last pixel is checked again
    if pixels is None or ((pixels[-1, -1] == 128).all() and not jpeg_scans.is_whole(content, header.scan)):
        raise _truncation_error(content)
    return Decoded(*_upright(pixels, header.exif))


def _rgb(content: bytes, flag: int) -> np.ndarray | None:
    """Returns a JPEG as libjpeg decodes it, red first, or None.

    If cv2 can keep the order of colours, that saves a pass.
    """
    coded, flag = np.frombuffer(content, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION
    red_first = getattr(cv2, "IMREAD_COLOR_RGB", None)
    if red_first is not None:
        return cv2.imdecode(coded, (flag & ~cv2.IMREAD_COLOR) | red_first)
    pixels = cv2.imdecode(coded, flag)
    return None if pixels is None else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _truncation_error(content: bytes) -> DataError:
    zeros = len(content) - len(content.rstrip(b"\0"))
    why = f": its last {zeros:,} bytes are zero, as after an interrupted copy" if zeros > 1 else ""
    return DataError(f"truncated JPEG{why}", code="D03", hint="download the file again")


def _other(content: bytes, form: str, data: Data) -> Decoded:
    image = containers.open_lazily(content, form)
    _refuse_claim(*image.size, data)
    complete.check_complete(content, form)
    if form == "TIFF":
        tiff.refuse_raw(image, content)
        tiff.seek_page(image, data.page)
        tiff.check_parts(image, content)
    depth = containers.depth_of(image, content, form)
    notes = _notes(image, content, form)
    if depth > 8:
        pixels, composited = high_bit_depth.decode_high_bit_depth(image, content, form, depth, data)
    else:
        pixels, composited = containers.decode(image, content, form, data.alpha_fill)
    if composited:
        notes.append(Case(f"has transparent pixels, filled with {data.alpha_fill}", code="W08"))
    exif = b"" if form == "TIFF" else image.info.get("exif", b"")  # Pillow rotates TIFF while loading
    upright, broken = _upright(pixels, exif)
    if broken and form != "JPEG" and complete.ends_in_zeros(content):
        raise complete.corrupt(content, form, "its EXIF block is incomplete")
    return Decoded(upright, (*broken, *notes))


def _notes(image: Image, content: bytes, form: str) -> list[Case]:
    """Returns notes before the pixels are loaded, because loading removes a TIFF's tags."""
    notes = []
    bands = tiff.count_extra_bands(image) if form == "TIFF" else 0
    if bands:
        count = "1 band that is" if bands == 1 else f"{bands} bands that are"
        notes.append(Case(f"has {count} neither colour nor transparency, ignored", code="W29"))
    zeros = complete.suspicious_zeros(content) if form in ("BMP", "PPM", "TIFF") else 0
    if zeros:
        notes.append(
            Case(f"its last {zeros:,} bytes are zero: black pixels, or an interrupted copy", code="W28")
        )
    return notes


def _refuse_claim(width: int, height: int, data: Data) -> None:
    """Raises DataError D10 before a pixel is decoded, so that a small file cannot fill the memory."""
    if width * height > data.max_pixels:
        claim, limit = _pixels(width * height), _pixels(data.max_pixels)
        raise DataError(f"claims {claim}, more than the limit {limit} (data.max_pixels)", code="D10")


def _pixels(count: int) -> str:
    unit, size = next(((u, s) for u, s in (("Gpx", 1e9), ("Mpx", 1e6)) if count >= s), ("px", 1))
    return f"{count / size:.4g} {unit}"


def _upright(pixels: np.ndarray, exif: bytes) -> tuple[np.ndarray, tuple[Case, ...]]:
    try:
        turned = _UPRIGHT[jpeg.orientation(exif) if exif else 1](pixels)
    except ValueError as error:
        return pixels, (Case(f"broken EXIF block ({error}), read as upright", code="W07"),)
    return np.ascontiguousarray(turned), ()


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns the image at another size: by area when it shrinks, linear when it grows."""
    if image.shape[:2] == (height, width):
        return image
    shrinks = image.shape[0] * image.shape[1] > height * width
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return in_groups(lambda part: cv2.resize(part, (width, height), interpolation=way), image)


def pad_to_square(image: Pixels, side: int) -> np.ndarray:
    """Returns the image in the centre of a black square of at least its own size."""
    down, right = side - image.shape[0], side - image.shape[1]
    edges = (down // 2, down - down // 2), (right // 2, right - right // 2)
    return np.pad(image, (*edges, (0, 0)))


def centre_square(height: int, width: int, crop_share: float = 1.0) -> tuple[int, int, int]:
    """Returns top, left and side in pixels of the centre square, `crop_share` of the short side."""
    side = max(1, round(min(height, width) * crop_share))
    return (height - side) // 2, (width - side) // 2, side


def center_crop(image: Pixels, size: int, crop_share: float = 1.0) -> np.ndarray:
    """Returns the centre square, `crop_share` of the short side, at size x size, as in every prediction."""
    height, width = image.shape[:2]
    top, left, side = centre_square(height, width, crop_share)
    square = resize(image[top : top + side, left : left + side], size, size)
    return square.copy() if np.shares_memory(square, image) else square


DECODE_AHEAD_BYTES = 2**24  # bytes of pixels that a worker may be ahead of the stored ones

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Records:
    """The records of a location as its files store them, and a digest of their content."""

    parts: tuple[Part, ...]
    records: tuple[Record, ...]
    digest: str  # 64 hex digits
    is_tiled: bool = False  # the record is the mosaic of the image's tiles


@dataclass(frozen=True)
class ImageSource:
    """The settings that read images: the reader, the config's data section and the number of channels."""

    reader: Reader
    data: Data = field(hash=False)
    channels: int = 3

    @classmethod
    def open(cls, data: Data, root: StrPath | None = None, channels: int = 3) -> ImageSource:
        """Returns the source that a config names. Raises PluginError, and ConfigError C24 for a missing package."""
        reader = Reader.open(data.reader, root, where="data.reader")
        reader.check_package()
        return cls(reader, data, channels)

    def load(self, location: Path) -> Records:
        """Returns a location's records. Raises DataError without the path if they cannot be read."""
        parts = parts_of(location)
        if self.data.tiles.count and len(parts) == 1 and not parts[0].box:
            tiled = self._try(lambda: self.reader.load_tiles(_only_file(parts[0]), parts[0].key, self.data))
            if tiled is not None:
                return Records(parts, (tiled,), _digest(parts, (tiled,)), True)
        if len(parts) == 1 and parts[0].file == os.fspath(location) and "*" not in parts[0].file:
            records: tuple[Record, ...] = (self._try(lambda: self.reader.load(location, "")),)
        else:
            records = tuple(self._load_part(part) for part in parts)
        return Records(parts, records, _digest(parts, records))

    def _load_part(self, part: Part) -> Record:
        return self._try(lambda: self.reader.load(_only_file(part), part.key))

    def _try(self, read: Callable[[], Made]) -> Made:
        """Returns the reader's result. Raises DataError D05 for an error of its library."""
        try:
            return read()
        except (DataError, MemoryError):
            raise
        except Exception as error:  # any error of a library's parser
            raise self._wrap(error) from error

    def _wrap(self, error: Exception) -> DataError:
        message = f"{type(error).__name__}: {error}".splitlines()[0]
        return DataError(f"reader {self.reader.plugin_name()!r}: {message}", code="D05")

    def decode(self, loaded: Records, least_side: int = 0) -> Decoded:
        """Returns the image of a location's records, (height, width, channels) of `data.pixel_type`.

        Raises DataError if they cannot be decoded, and D15 for images of different sizes or other channels.
        """
        parts = loaded.parts
        channels = max(1, self.channels // len(parts))
        is_whole = self.data.tiles.count or any(part.box for part in parts)
        rules = ReadRules(channels, self.data.max_pixels, 0 if is_whole else least_side, self.data)
        decoded_parts = [
            self._of_part(part, record, rules) for part, record in zip(parts, loaded.records, strict=True)
        ]
        repairs = tuple(note for decoded in decoded_parts for note in decoded.repairs)
        pixels = self._join([decoded.pixels for decoded in decoded_parts])
        if self.data.tiles.count and not loaded.is_tiled:
            pixels = join_tiles(pixels, self.data.tiles)
        return Decoded(pixels, repairs)

    def read(self, location: Path) -> Decoded:
        """Returns the image at a location. Raises DataError, without the path."""
        return self.decode(self.load(location))

    def _of_part(self, part: Part, record: Record, rules: ReadRules) -> Decoded:
        decoded = self._try(lambda: self.reader.decode(record, rules))
        pixels = decoded.pixels[:, :, None] if decoded.pixels.ndim == 2 else decoded.pixels
        is_known = pixels.dtype == np.uint8 or pixels.dtype == rules.pixel_type
        if not is_known or pixels.ndim != 3 or 0 in pixels.shape:
            known = " or ".join(sorted({"uint8", rules.pixel_type}))
            raise DataError(
                f"reader {self.reader.plugin_name()!r} gives {pixels.dtype} {pixels.shape}, not {known} "
                "(height, width, channels)",
                code="D15",
            )
        pixels = convert(pixels, rules.pixel_type)
        if pixels.shape[2] == 1 and rules.channels == 3:
            pixels = np.repeat(pixels, 3, axis=2)
        if part.box:
            pixels = boxes.crop(pixels, part.box, self.data.box_margin)
        return decoded if pixels is decoded.pixels else replace(decoded, pixels=pixels)

    def _join(self, images: Sequence[np.ndarray]) -> np.ndarray:
        sizes = {image.shape[:2] for image in images}
        if len(sizes) > 1:
            sizes_text = ", ".join(f"{width} x {height}" for height, width in sorted(sizes))
            raise DataError(f"the row's images have unlike sizes ({sizes_text} pixels)", code="D15")
        stacked = images[0] if len(images) == 1 else np.concatenate(images, axis=2)
        if stacked.shape[2] != self.channels:
            raise DataError(
                f"has {stacked.shape[2]} channels, not {self.channels} (channels={stacked.shape[2]})",
                code="D15",
                hint=f"channels={stacked.shape[2]}, if all images have so many",
            )
        return stacked

    def fingerprint(self) -> list[object]:
        """Returns the settings that change the pixels of a record: empty for an RGB image of the reader `image`."""
        parts: list[object] = []
        location = registry.location_of(type(self.reader))
        if location.name != "image" or self.reader.spec() != type(self.reader)().spec():
            parts += [self.reader.spec(), self.reader.version]
        if location.source != "kit" and location.file:
            parts.append(sha256(location.file))
        parts += [["channels", self.channels]] if self.channels != 3 else []
        parts += [["pixels", self.data.pixel_type]] if self.data.pixel_type != "uint8" else []
        parts += [["tiles", self.data.tiles.model_dump()]] if self.data.tiles.count else []
        return parts + ([["margin", self.data.box_margin]] if self.data.box else [])


def _only_file(part: Part) -> Path:
    files = part.files()
    return Path(files[0]) if len(files) == 1 else Path(part.file)


def _digest(parts: Sequence[Part], records: Sequence[Record]) -> str:
    """Returns the SHA-256 of a single file, so that copies of a file are one image; for arrays it includes
    the type and shape.
    """
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
    """The outcome of one file: its stamp and hash, then its pixels, or the error."""

    path: Path
    stamp: list[int] = field(default_factory=list)
    name: str = ""
    pixels: np.ndarray | None = None
    notes: tuple[Case, ...] = ()
    bad: Case | None = None


def decode_files(
    paths: Sequence[Path], cached: frozenset[str], geometry: Geometry, source: ImageSource, workers: int
) -> Generator[DecodedFile, None, None]:
    """Yields the outcome of each file, in order. A bounded number is decoded ahead in parallel, also during a write."""
    import cv2

    cv2.setNumThreads(0)  # images are decoded in parallel, and cv2's own threads would compete
    coming, most = iter(paths), max(4, min(32, DECODE_AHEAD_BYTES // geometry.square_bytes))
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[DecodedFile]] = deque()
        try:
            while True:
                for path in islice(coming, most * workers - len(ahead)):
                    ahead.append(pool.submit(_decode_file, path, cached, geometry, source))
                if not ahead:
                    return
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _decode_file(path: Path, cached: frozenset[str], geometry: Geometry, source: ImageSource) -> DecodedFile:
    name, before = "", []
    try:
        before = _stamp(path)
        loaded = source.load(path)
        name = loaded.digest
        if name in cached:
            return DecodedFile(path, before, name)
        decoded = source.decode(loaded, geometry.cache_size if source.data.jpeg_scaling else 0)
        return DecodedFile(path, before, name, geometry.apply(decoded.pixels), decoded.repairs)
    except DataError as error:
        return DecodedFile(path, before, name, bad=Case(error.summary, path=str(path), code=error.code))


def stat_key(location: Path | str) -> list[int]:
    """Returns a key that changes with a location's file: size, time of its content and of its inode
    (nanoseconds), inode.

    For several files it is the sum of each value except the times, which are the latest.
    """
    return _key_of_stats([Path(file).stat() for file in files_of(location)])


def _stamp(location: Path) -> list[int]:
    """Returns the same before a file is read; empty unless all are regular files."""
    try:
        stats = [Path(file).stat() for file in files_of(location)]
    except (OSError, ValueError):  # reading the file reports the error
        return []
    return _key_of_stats(stats) if all(stat.S_ISREG(file_stat.st_mode) for file_stat in stats) else []


def _key_of_stats(stats: Sequence[os.stat_result]) -> list[int]:
    if len(stats) == 1:
        (file_stat,) = stats
        return [file_stat.st_size, file_stat.st_mtime_ns, file_stat.st_ctime_ns, file_stat.st_ino]
    return [
        sum(file_stat.st_size for file_stat in stats),
        max((file_stat.st_mtime_ns for file_stat in stats), default=0),
        max((file_stat.st_ctime_ns for file_stat in stats), default=0),
        sum(file_stat.st_ino for file_stat in stats),
    ]
