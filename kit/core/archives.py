"""Archives: reads a zip of another machine entry by entry, and refuses harmful ones before they are read."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from kit.core.files import disk_full_as_error
from kit.errors import DataError

MAX_ENTRIES = 100_000
MAX_RATIO = 200  # bytes of an entry per byte in the archive; predictions and weights have less than 10
MIN_BOMB_BYTES = 2**24  # a file below this size may have any compression ratio
READ_BYTES = 2**20
ENCRYPTED = 1  # of an entry's flags


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens a zip whose entries are distinct files and folders below one folder, and are not a zip bomb.

    Raises DataError D69 for another file, and for entries that leave the folder, are links, or expand too
    much.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_entries(path, archive.infolist())
            yield archive
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise _refuse(path, f"it is not a whole zip archive ({error})") from None


def check_entries(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Raises DataError D69 for the first entry that cannot be extracted safely."""
    if len(entries) > MAX_ENTRIES:
        raise _refuse(path, f"it has {len(entries):,} entries, and kit reads up to {MAX_ENTRIES:,}")
    names = set[str]()
    for entry in entries:
        if reason := _reason(entry):
            raise _refuse(path, f"the entry {entry.filename!r} {reason}")
        if entry.filename.casefold() in names:
            raise _refuse(path, f"the entry {entry.filename!r} is there twice")
        names.add(entry.filename.casefold())
    packed = sum(entry.compress_size for entry in entries)
    # entries that share their bytes are a bomb that looks harmless entry by entry
    if packed > path.stat().st_size:
        raise _refuse(path, "its entries overlap")


def _reason(entry: zipfile.ZipInfo) -> str:
    """Returns why an entry is refused; empty if it is not."""
    name, mode = PurePosixPath(entry.filename), entry.external_attr >> 16
    if name.is_absolute() or ".." in name.parts or "\\" in entry.filename or ":" in entry.filename[:2]:
        return "leads out of the archive's folder"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a special file"
    if entry.flag_bits & ENCRYPTED:
        return "is encrypted"
    if entry.file_size > max(MIN_BOMB_BYTES, MAX_RATIO * entry.compress_size):
        return f"would expand from {entry.compress_size:,} to {entry.file_size:,} bytes"
    return ""


def extract_file(archive: zipfile.ZipFile, name: str, target: Path) -> None:
    """Writes an entry to a file. Raises DataError D69 if it is damaged or longer than it claims, RunError R06."""
    source, entry, written = Path(str(archive.filename)), archive.getinfo(name), 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with disk_full_as_error(target, entry.file_size), target.open("wb") as file:
        try:
            with archive.open(entry) as stream:
                while part := stream.read(READ_BYTES):
                    written += len(part)
                    if written > entry.file_size:
                        raise _refuse(source, f"the entry {name!r} is longer than it claims")
                    file.write(part)
        except (DataError, OSError):
            raise
        except Exception as error:  # zipfile, zlib and others raise many kinds for damaged bytes
            raise _refuse(source, f"the entry {name!r} is damaged ({error})") from None


def _refuse(path: Path, why: str) -> DataError:
    return DataError(
        f"{path} refused: {why}", code="D69", hint="kit runs export r --out r.zip makes an archive"
    )
