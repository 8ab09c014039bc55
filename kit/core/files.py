"""Writes files beside their target, syncs them, then renames them: a partial file never has the final name."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from kit.core.legible import legible, legible_json
from kit.core.locks import lock_handle
from kit.errors import KitError, RunError

WINDOWS = os.name == "nt"
StrPath = str | os.PathLike[str]  # types that public functions take for a path
PARTIAL_SUFFIX = ".part"  # ends the name of a file that is still being written
_UMASK_LOCK = threading.Lock()
DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic_file(path: Path, size: int = 0) -> Iterator[Path]:
    """Yields a temporary path beside `path`. If the block ends without an error, it is renamed to `path`.

    Partial files of killed processes are removed. Raises RunError R06 if the disk is full, with the number of
    bytes if `size` is given. The partial file is then removed, and an older `path` stays intact.
    """
    with disk_full_as_error(path, size):
        path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in path.parent.glob(f".{glob.escape(path.name)}.*{PARTIAL_SUFFIX}"):
            _remove_partial_file(leftover)
        handle, part = _open_partial(path)
        try:
            yield part
            sync(part)
            os.chmod(part, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
            if WINDOWS:  # which cannot rename an open file
                os.close(handle)
                handle = -1
            os.replace(part, path)
            sync(path.parent)
        finally:
            if handle != -1:
                os.close(handle)
            part.unlink(missing_ok=True)


def _open_partial(path: Path) -> tuple[int, Path]:
    """Opens a temporary file beside `path`, locked for the life of this process or of the handle."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PARTIAL_SUFFIX, dir=path.parent)
        with suppress(OSError):  # a file system without locks
            lock_handle(handle)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # another process took it for a partial file before it was locked


def _remove_partial_file(part: Path) -> None:
    """Removes a partial file, unless its writer still runs, which holds its lock."""
    try:
        handle = os.open(part, os.O_RDONLY)
    except OSError:
        return
    try:
        lock_handle(handle, waits=False)
        if not WINDOWS:
            part.unlink(missing_ok=True)
    except OSError:
        pass
    finally:
        os.close(handle)
    if WINDOWS:  # which cannot remove a file that this process or a writer has open
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, size: int = 0) -> Iterator[Path]:
    """Yields a temporary folder beside `path`.

    If the block ends without an error, its files are synced and it is renamed to `path`. Raises RunError if
    the disk is full, FileExistsError if `path` exists.
    """
    part = path.with_name(f".{path.name}{PARTIAL_SUFFIX}")
    shutil.rmtree(part, ignore_errors=True)
    with disk_full_as_error(path, size):
        try:
            part.mkdir(parents=True)
            yield part
            for file in part.iterdir():
                sync(file)
            sync(part)
            os.rename(part, path)
            sync(path.parent)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def open_for_append(path: Path, size: int = 0) -> Iterator[BinaryIO]:
    """Yields a file open for appending, which is synced when the block ends.

    Raises RunError if the disk is full. The file's end may then be incomplete.
    """
    with disk_full_as_error(path, size), path.open("ab") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def disk_full_as_error(path: Path, size: int = 0) -> Iterator[None]:
    """Turns a full disk while writing `path` into a RunError R06, and a limit of a file's size into R28."""
    try:
        yield
    except OSError as error:
        needs = f": it needs about {format_bytes(size)}" if size else ""
        if error.errno == errno.EFBIG:
            raise RunError(
                f"the system allows no file as large as {path}{needs}",
                code="R28",
                hint="raise the limit of your shell or cluster (ulimit -f unlimited), then run the same command again",
            ) from error
        if error.errno in DISK_FULL_ERRNOS:
            needs += f", and {format_bytes(free_space(path))} are free" if size else ""
            raise RunError(
                f"disk full while writing {path}{needs}",
                code="R06",
                hint="free some space, then run the same command again",
            ) from error
        raise


def free_space(path: Path) -> int:
    """Returns the bytes that may still be written at a path, which need not exist yet."""
    return shutil.disk_usage(_nearest_existing(path)).free


def same_disk(one: Path, other: Path) -> bool:
    """Whether two paths, which need not exist yet, are on the same file system."""
    return _nearest_existing(one).stat().st_dev == _nearest_existing(other).stat().st_dev


def _nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def format_bytes(count: float) -> str:
    """Returns a number of bytes in readable form: `1.5 GB`."""
    unit, size = next(
        ((u, s) for u, s in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)) if count >= s), ("bytes", 1)
    )
    return f"{count / size:.3g} {unit}" if size > 1 else f"{count:.0f} {unit}"


def remove_partial_files(folder: Path) -> None:
    """Removes the partial files that a killed process left directly in a folder."""
    for part in folder.glob(f".*{PARTIAL_SUFFIX}"):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            _remove_partial_file(part)


def remove_folder(path: Path) -> None:
    """Removes a folder so that a process killed at it leaves nothing that looks like the folder."""
    part = path.with_name(f".{path.name}{PARTIAL_SUFFIX}")
    shutil.rmtree(part, ignore_errors=True)
    os.rename(path, part)
    shutil.rmtree(part)


def _umask() -> int:
    with _UMASK_LOCK:  # a checkpoint's thread may also ask, and each changes it for a moment
        mask = os.umask(0)
        os.umask(mask)
    return mask


def sync(path: Path) -> None:
    """Asks the system to write a file or a folder to the disk. Windows only does so with files."""
    if WINDOWS and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if WINDOWS else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a whole file, or leaves the existing one."""
    with atomic_file(path, len(content)) as part:
        part.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Writes a whole UTF-8 file with LF line ends, or leaves the existing one. The text is made legible."""
    write_bytes(path, legible(text).encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Writes JSON with two-space indents; NaN and infinity are refused."""
    write_text(path, legible_json(value, indent=2, allow_nan=False) + "\n")


def is_safe_folder_name(name: str) -> bool:
    """Whether a name is that of a single visible folder, and not a path."""
    return bool(name) and Path(name).name == name and not name.startswith(".")


def shorten(value: object) -> str:
    """Returns a fingerprint's first 12 digits, other values as they are in words."""
    text = str(value)
    return text[:12] if len(text) == 64 and " " not in text else text


def read_json(path: Path) -> Any:
    """Reads JSON written by kit. Raises ValueError if it is not JSON, OSError if the file cannot be read."""
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str | bytes) -> Any:
    """Returns the value of a JSON text. Raises ValueError if it is not JSON, nested too deeply, or not UTF-8."""
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()  # lone surrogates, invalid in files and terminals
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def sha256(path: Path) -> str:
    """Returns the file's SHA-256 as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """Returns 64 hex digits that are equal for equal JSON values, in any order of keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class CheckedDict(dict[str, Any]):
    """A mapping from a file, and the nested ones. `fails` makes the error for a missing key."""

    def __init__(self, values: Mapping[str, Any], fails: Callable[[str], KitError]) -> None:
        super().__init__({key: self._inner(value, fails) for key, value in values.items()})
        self._fails = fails

    @classmethod
    def _inner(cls, value: Any, fails: Callable[[str], KitError]) -> Any:
        return cls(value, fails) if isinstance(value, dict) else value

    def __missing__(self, key: str) -> Any:
        raise self._fails(key)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)  # pickled as it is for another process
