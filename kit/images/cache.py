"""The cache: every image is decoded once, for all runs, folds and splits.

    cache/hashes.json                     hash of each file's content by path, trusted while its stat is the same
    cache/<geometry>/pixels-0.bin         pixels of all images, one after another; only appended to
    cache/<geometry>/index.npz            offset of each content's image, written last

Content is identified by its SHA-256, so a copied or renamed file is not decoded again. Missing, stale or
damaged images are decoded again. The folder can be deleted whenever no command runs.
"""

from __future__ import annotations

import io
import json
import mmap
import os
import shutil
import time
import warnings
import zipfile
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kit.core import files
from kit.core.arrays import Pixels
from kit.core.cores import available_cores
from kit.core.files import DISK_FULL_ERRNOS, fingerprint
from kit.core.legible import legible
from kit.core.locks import lock_handle, try_lock
from kit.core.pixel_types import BYTES, PixelType
from kit.core.progress import Progress, Work
from kit.errors import Case, ConfigError, DataError, KitWarning, RunError
from kit.images.reader import READER, DecodedFile, ImageSource, decode_files, pad_to_square, resize, stat_key

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from kit.config.models import Data, Experiment

SCHEMA = 1
HASHES = "hashes.json"
LAST_USE_FILE = "used"  # its time is that of the last use; readers of the pixels hold a shared lock on it
MTIME_SETTLE_NS = 2_000_000_000  # nanoseconds after which a file that changes again gets another time stamp


@dataclass(frozen=True, slots=True)
class PixelSpan:
    """The position of an image in the pixel file: offset in bytes, height, width, and the CRC-32 of its bytes."""

    offset: int
    height: int
    width: int
    checksum: int

    def end(self, pixel_bytes: int) -> int:
        """Returns the offset after it, for pixels with this many bytes."""
        return self.offset + self.height * self.width * pixel_bytes


@dataclass
class Store:
    """The pixels of one geometry; one process at a time may add to it."""

    folder: Path
    generation: int = 0
    places: dict[str, PixelSpan] = field(default_factory=dict)
    pixel_bytes: int = 3  # bytes of a pixel with all its channels

    @classmethod
    def open(cls, folder: Path, pixel_bytes: int = 3) -> Store:
        """Opens the store in a folder.

        If it is damaged, a new one is started beside it, because other processes may still read the old one.
        """
        folder.mkdir(parents=True, exist_ok=True)
        try:
            store = cls(folder, *_read_index(folder / "index.npz"), pixel_bytes)
        except FileNotFoundError:
            store = cls(folder, _next_generation(folder), {}, pixel_bytes)
        except Exception:  # numpy and zipfile raise many things for a damaged file
            store = cls(folder, _next_generation(folder), {}, pixel_bytes)
        store._forget_missing()
        return store

    @staticmethod
    def list_hashes(folder: Path) -> frozenset[str] | None:
        """Returns the hashes of a folder's images without changing anything; None if its index is damaged."""
        try:
            return frozenset(_read_index(folder / "index.npz")[1])
        except Exception:  # as in `open`
            return None

    @property
    def file(self) -> Path:
        """The pixel file. A new store in the same folder has another file name."""
        return self.folder / f"pixels-{self.generation}.bin"

    def _forget_missing(self) -> None:
        """Drops positions beyond the file's end, and bytes without a position, left by a killed process."""
        self.file.touch()
        size = self.file.stat().st_size
        self.places = {name: span for name, span in self.places.items() if span.end(self.pixel_bytes) <= size}
        end = max((span.end(self.pixel_bytes) for span in self.places.values()), default=0)
        if end < size:
            os.truncate(self.file, end)

    def add(self, images: dict[str, np.ndarray]) -> None:
        """Appends images by the hash of their content, and writes the index. Raises RunError if the disk is full."""
        offset = self.file.stat().st_size
        with files.open_for_append(self.file, sum(image.nbytes for image in images.values())) as file:
            for image in images.values():
                file.write(np.ascontiguousarray(image).data)
        for name, image in images.items():
            height, width = image.shape[:2]
            self.places[name] = PixelSpan(offset, height, width, zlib.crc32(np.ascontiguousarray(image).data))
            offset = self.places[name].end(self.pixel_bytes)
        self.save()

    def save(self) -> None:
        """Writes the index."""
        places = self.places.values()
        content = io.BytesIO()
        np.savez(
            content,
            schema=np.int64(SCHEMA),
            generation=np.int64(self.generation),
            hashes=np.array([bytes.fromhex(name) for name in self.places], "V32"),
            places=np.array([(p.offset, p.height, p.width, p.checksum) for p in places], np.int64).reshape(
                -1, 4
            ),
        )
        files.write_bytes(self.folder / "index.npz", content.getvalue())

    def find_damaged(self, names: set[str]) -> set[str]:
        """Returns those of the images whose bytes do not match their checksum."""
        cached = [name for name in names if name in self.places]
        if not cached:
            return set()
        with self.file.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pixels:
            view = memoryview(pixels)
            wrong = {
                name
                for name in cached
                if _checksum(view, self.places[name], self.pixel_bytes) != self.places[name].checksum
            }
            view.release()
        return wrong


def _checksum(view: memoryview, span: PixelSpan, pixel_bytes: int) -> int:
    with view[span.offset : span.end(pixel_bytes)] as part:
        return zlib.crc32(part)


def _read_index(file: Path) -> tuple[int, dict[str, PixelSpan]]:
    content = io.BytesIO(file.read_bytes())
    with zipfile.ZipFile(content) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError(
                "compressed: kit never compresses such files, and a small file could expand to any size"
            )
    with np.load(content, allow_pickle=False) as index:
        if int(index["schema"]) != SCHEMA:
            raise ValueError("another schema")
        names = [bytes(name).hex() for name in index["hashes"]]
        places = [PixelSpan(*(int(value) for value in row)) for row in index["places"]]
        return int(index["generation"]), dict(zip(names, places, strict=True))


def _next_generation(folder: Path) -> int:
    """Returns a generation that no pixel file has. Older files are removed, because no index describes them."""
    old = [int(file.stem.removeprefix("pixels-")) for file in folder.glob("pixels-*.bin")]
    for file in folder.glob("pixels-*.bin"):
        file.unlink()
    return max(old, default=-1) + 1


class Hashes:
    """The SHA-256 of files' content by path, trusted while size, both times and the inode are the same."""

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            known: Any = files.read_json(file)
            self._known: dict[str, list[Any]] = {path: list(entry) for path, entry in known.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            self._known = {}

    def get(self, path: Path | str) -> str:
        """Returns the file's hash, or an empty string if its content has to be read."""
        entry = self._known.get(legible(str(path)))
        try:
            return str(entry[-1]) if entry and entry[:-1] == stat_key(path) else ""
        except OSError:
            return ""

    def put(self, path: Path, before: list[int], name: str) -> None:
        """Stores a hash with the file's stamp before it was read.

        A file that was just changed is left out: within a clock tick it could change again and look the same.
        """
        if time.time_ns() - max(before[1:3]) > MTIME_SETTLE_NS:
            self._known[legible(str(path))] = [*before, name]

    def save(self) -> None:
        """Writes all known hashes."""
        files.write_text(self.file, json.dumps(self._known, ensure_ascii=False))


class UsageLock:
    """Marks a store as in use during its life. The lock of a killed process is released."""

    def __init__(self, folder: Path, alone: bool = False) -> None:
        """Takes the lock. Raises BlockingIOError if `alone` is true and other processes use the store."""
        self._file = os.open(folder / LAST_USE_FILE, os.O_RDWR | os.O_CREAT, 0o666)
        lock_handle(self._file, is_shared=not alone, waits=not alone)
        if not alone:
            os.utime(self._file)

    def __del__(self) -> None:
        with suppress(AttributeError):  # it was not opened
            os.close(self._file)


CHUNK_BYTES = 64 * 2**20  # bytes of pixels that are written together, and are then safe from a kill
SIZE_MARGIN = 1.25  # the cache's default short side, as a multiple of the network's
MAX_UPSCALE = 8  # an image is enlarged to at most this multiple of the cache size on its long side


@dataclass(frozen=True)
class Geometry:
    """How images enter the cache: the short side at `cache_size`, stretched to a square, or padded to one."""

    cache_size: int
    resize: Literal["short_side", "stretch", "pad"] = "short_side"
    channels: int = 3

    @classmethod
    def of(cls, experiment: Experiment) -> Geometry:
        """Returns the size and the rule of an experiment. By default room is left for crops."""
        sides = [experiment.image_size, *(within.image_size for _, within in experiment.plan())]
        return cls(
            experiment.cache_size or round(SIZE_MARGIN * max(sides)), experiment.resize, experiment.channels
        )

    def apply(self, image: Pixels) -> np.ndarray:
        """Returns the image as the cache stores it, (height, width, channels) of its own type."""
        if self.resize == "stretch":
            return resize(image, self.cache_size, self.cache_size)
        height, width = image.shape[:2]
        side = max(height, width) if self.resize == "pad" else min(height, width)
        scale = self.cache_size / side
        if scale > 1:  # one pixel by 9000 would become 160 by 1,440,000
            scale = min(scale, max(1.0, MAX_UPSCALE * self.cache_size / max(height, width)))
        resized = resize(image, max(1, round(height * scale)), max(1, round(width * scale)))
        return pad_to_square(resized, self.cache_size) if self.resize == "pad" else resized

    def pixel_bytes(self, data: Data) -> int:
        """Returns the bytes of a pixel with all its channels."""
        return self.channels * BYTES[data.pixel_type]

    @property
    def square_bytes(self) -> int:
        """Bytes of a square image of the cache's size, of 8 bits."""
        return self.channels * self.cache_size**2

    def folder(self, data: Data, source: ImageSource | None = None) -> str:
        """Returns the folder's name, which differs for all settings that change a file's pixels.

        `source` is by default the one that `data` names outside any workspace.
        """
        source = source or ImageSource.open(data, channels=self.channels)
        whole = [] if data.jpeg_scaling else ["whole"]  # before there was a choice, all images were reduced
        deep = [data.bit_depth, data.max_value, data.page]
        declared = deep if deep != [8, None, None] else []
        made_by = fingerprint([SCHEMA, READER, data.alpha_fill, *whole, *declared, *source.fingerprint()])[:8]
        return f"{self.resize}-{self.cache_size}-{made_by}"


@dataclass(eq=False)
class Cache:
    """Images by row, (height, width, channels), views of one memory map that each process opens for itself."""

    file: Path
    paths: Sequence[Path]
    hashes: tuple[str, ...]  # SHA-256 of each file's content; empty if it cannot be read
    places: np.ndarray  # (rows, 3) int64: offset, height, width; -1 without an image
    bad: Mapping[int, Case] = field(default_factory=dict)  # why a row has no image
    use: UsageLock | None = None  # while it is held, no other process removes the file
    channels: int = 3
    pixel_type: PixelType = "uint8"
    _map: mmap.mmap | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> np.ndarray:
        """Returns the row's image, read-only. Raises DataError for a row without one."""
        offset, height, width = self.places[row].tolist()
        if offset < 0:
            case = self.bad[int(row)]
            raise DataError(f"{case.path}: {case.detail}", code=case.code)
        count = height * width * self.channels
        pixels = np.frombuffer(self._map or self._open(), self.pixel_type, count, offset)
        return pixels.reshape(height, width, self.channels)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "use": None, "_map": None}

    def _open(self) -> mmap.mmap:
        try:
            with self.file.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            raise RunError(
                f"the cache {self.file.parent} was deleted while in use",
                code="R07",
                hint="run the same command again",
            ) from None
        return self._map


@dataclass(frozen=True, eq=False)
class FillResult:
    """The cache of a list of files, and the files without an image that kit can read."""

    cache: Cache
    bad: tuple[Case, ...]


def fill_cache(
    folder: Path,
    paths: Sequence[Path],
    geometry: Geometry,
    data: Data,
    workers: int | None = None,
    root: Path | None = None,
) -> Work[FillResult]:
    """Decodes the images that the cache in `folder` lacks.

    Unreadable files are returned as cases, and the caller decides. `root` is the workspace whose readers
    count too.

    Raises RunError if the disk is full; images decoded until then stay in the cache. Warns once per kind of
    repaired file.
    """
    source = ImageSource.open(data, root, geometry.channels)
    create_folder(folder)
    lock = yield from _lock(folder, len(paths))
    try:
        store, hashes = (
            Store.open(folder / geometry.folder(data, source), geometry.pixel_bytes(data)),
            Hashes(folder / HASHES),
        )
        use = UsageLock(store.folder)
        texts = [os.fspath(path) for path in paths]  # a path object takes four times the memory of its text
        names = {text: hashes.get(text) for text in texts}
        for name in store.find_damaged(set(names.values())):
            del store.places[name]
        missing = source.reader.order(
            [Path(text) for text, name in names.items() if name not in store.places]
        )
        files_with_notes: list[DecodedFile] = []  # those with notes
        if missing:
            _warn_of_space(folder, len(missing) * geometry.square_bytes * BYTES[data.pixel_type])
            cached = frozenset(store.places)
            decoding = decode_files(missing, cached, geometry, source, workers or available_cores())
            with closing(decoding), closing(_store(decoding, store, hashes)) as storing:
                for number, file in enumerate(storing, 1):
                    names[os.fspath(file.path)] = file.name
                    if file.bad or file.notes:
                        files_with_notes.append(file)
                    yield Progress("images", len(texts) - len(missing) + number, len(texts))
        del hashes
    finally:
        lock.release()
    bad = {os.fspath(file.path): file.bad for file in files_with_notes if file.bad}
    _warn(files_with_notes)
    places = _places(store, [names[text] if text not in bad else "" for text in texts])
    by_row = {row: bad[text] for row, text in enumerate(texts) if text in bad}
    cache = Cache(
        store.file,
        paths,
        tuple(names[text] for text in texts),
        places,
        by_row,
        use,
        geometry.channels,
        data.pixel_type,
    )
    return FillResult(cache, tuple(bad.values()))


def create_folder(folder: Path) -> None:
    """Creates the folder of a cache. Raises ConfigError C54 if the system refuses it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in DISK_FULL_ERRNOS:
            raise
        raise ConfigError(
            f"cache_folder: cannot create {folder}: {error.strerror}",
            code="C54",
            hint="cache_folder=cache, or KIT_CACHE=FOLDER in the environment",
        ) from None


def bytes_to_cache(
    folder: Path, paths: Sequence[Path], geometry: Geometry, data: Data, root: Path | None = None
) -> int:
    """Returns the minimum number of bytes of the images that are not cached yet, with a square of the cache's
    size for each.
    """
    source = ImageSource.open(data, root, geometry.channels)
    cached = Store.list_hashes(folder / geometry.folder(data, source)) or frozenset()
    hashes = Hashes(folder / HASHES)
    missing = sum(hashes.get(text) not in cached for text in {os.fspath(path) for path in paths})
    return geometry.square_bytes * BYTES[data.pixel_type] * missing


def _lock(folder: Path, total: int) -> Work[BaseFileLock]:
    """Takes the lock of a cache. It waits for another run that fills it, because that saves this run the work."""
    attempt = 0
    while (lock := try_lock(folder / ".lock", 0.2)) is None:
        yield Progress("images", 0, total, "another process is filling the cache", line=attempt == 0)
        attempt += 1
    return lock


def _store(
    decoding: Iterator[DecodedFile], store: Store, hashes: Hashes
) -> Generator[DecodedFile, None, None]:
    """Passes on decoded files without their pixels, after writing the pixels to the store in chunks."""
    waiting: dict[str, np.ndarray] = {}
    size = 0
    try:
        for file in decoding:
            if file.pixels is not None and file.name not in store.places:
                waiting[file.name] = file.pixels
                size += file.pixels.nbytes
            if file.stamp and not file.bad:
                hashes.put(file.path, file.stamp, file.name)
            if size > CHUNK_BYTES:
                store.add(waiting)
                waiting, size = {}, 0
            yield replace(file, pixels=None)
    finally:
        if waiting:
            store.add(waiting)
        hashes.save()


def _warn_of_space(folder: Path, needed: int) -> None:
    """Warns (W19) if the images to decode will hardly fit on the disk."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        text = (
            f"W19 the cache needs about {needed / 2**30:.1f} GiB more, and the disk has "
            f"{free / 2**30:.1f} GiB free"
        )
        warnings.warn(KitWarning(f"{text}: kit cache prune frees space"), stacklevel=4)


def _warn(files_with_notes: Sequence[DecodedFile]) -> None:
    """Warns once per kind of repaired image, with the count."""
    notes = [(note, file.path) for file in files_with_notes for note in file.notes]
    for code in sorted({note.code for note, _ in notes}):
        same = [(note, path) for note, path in notes if note.code == code]
        (note, path), more = same[0], len(same) - 1
        text = f"{code} {path}: {note.detail}" + (f", and {more} more like it" if more else "")
        warnings.warn(KitWarning(text), stacklevel=3)


def _places(store: Store, names: Sequence[str]) -> np.ndarray:
    """Returns the positions of the images of these contents, (rows, 3) int64: offset, height, width.

    It is -1 for an empty name.
    """
    nowhere = PixelSpan(-1, -1, -1, 0)
    spans = (store.places[name] if name else nowhere for name in names)
    return np.array([(span.offset, span.height, span.width) for span in spans], np.int64).reshape(-1, 3)
