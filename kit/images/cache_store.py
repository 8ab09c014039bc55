"""The store: decoded pixels by the hash of the file they came from, and the hashes of files by their stat.

Pixels stand one image after another in one file that only grows; the index, written last, says where. Whatever is not
in the index, or does not have the checksum it gives, does not exist.
"""

from __future__ import annotations

import io
import json
import mmap
import os
import time
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kit.core import files
from kit.core.legible import legible
from kit.core.locations import files_of
from kit.core.locks import lock_handle

SCHEMA = 1
HASHES = "hashes.json"
LAST_USE_FILE = (
    "used"  # its time is that of the last use; a shared lock on it is held by whoever reads the pixels
)
MTIME_SETTLE_NS = 2_000_000_000  # nanoseconds after which a file that changes again gets another time stamp


@dataclass(frozen=True, slots=True)
class PixelSpan:
    """Where an image is in the pixel file: offset in bytes, height, width, and the CRC-32 of its bytes."""

    offset: int
    height: int
    width: int
    checksum: int

    def end(self, pixel_bytes: int) -> int:
        """The first byte behind it, of pixels with so many bytes."""
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
        """The store in a folder; a damaged one is begun anew, beside what other processes may still read."""
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
        """The hashes of a folder's images, looked at without touching anything; None where its index is damaged."""
        try:
            return frozenset(_read_index(folder / "index.npz")[1])
        except Exception:  # as in `open`
            return None

    @property
    def file(self) -> Path:
        """The pixel file. A store that is begun anew has another name for it."""
        return self.folder / f"pixels-{self.generation}.bin"

    def _forget_missing(self) -> None:
        """Drops places beyond the file's end, and bytes that no place accounts for (a killed process's)."""
        self.file.touch()
        size = self.file.stat().st_size
        self.places = {
            name: place for name, place in self.places.items() if place.end(self.pixel_bytes) <= size
        }
        end = max((place.end(self.pixel_bytes) for place in self.places.values()), default=0)
        if end < size:
            os.truncate(self.file, end)

    def add(self, images: dict[str, np.ndarray]) -> None:
        """Appends images by the hash of their content, and writes the index. Raises RunError for a full disk."""
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
        """Those of the images whose bytes do not have their checksum."""
        held = [name for name in names if name in self.places]
        if not held:
            return set()
        with self.file.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pixels:
            view = memoryview(pixels)
            wrong = {
                name
                for name in held
                if _checksum(view, self.places[name], self.pixel_bytes) != self.places[name].checksum
            }
            view.release()
        return wrong


def _checksum(view: memoryview, place: PixelSpan, pixel_bytes: int) -> int:
    with view[place.offset : place.end(pixel_bytes)] as part:
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
    """A generation that no pixel file has; older files are removed, as nothing says what they hold."""
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
        """The file's hash, or an empty string where its content has to be read."""
        entry = self._known.get(legible(str(path)))
        try:
            return str(entry[-1]) if entry and entry[:-1] == stat_key(path) else ""
        except OSError:
            return ""

    def put(self, path: Path, before: list[int], name: str) -> None:
        """Keeps a hash with the stamp that the file had before it was read.

        A file changed a moment ago is left out: within a tick of the clock it could change once more and look
        the same.
        """
        if time.time_ns() - max(before[1:3]) > MTIME_SETTLE_NS:
            self._known[legible(str(path))] = [*before, name]

    def save(self) -> None:
        """Writes all that is known."""
        files.write_text(self.file, json.dumps(self._known, ensure_ascii=False))


class UsageLock:
    """Marks a store as in use for as long as it is there; a killed process holds nothing."""

    def __init__(self, folder: Path, alone: bool = False) -> None:
        """Raises BlockingIOError where `alone` is asked for and others use the store."""
        self._file = os.open(folder / LAST_USE_FILE, os.O_RDWR | os.O_CREAT, 0o666)
        lock_handle(self._file, is_shared=not alone, waits=not alone)
        if not alone:
            os.utime(self._file)

    def __del__(self) -> None:
        with suppress(AttributeError):  # it was not opened
            os.close(self._file)


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
