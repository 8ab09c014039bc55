"""Locks between processes: a lock file beside the data, or a lock on an open file. Both end with their process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kit.errors import BusyError

if TYPE_CHECKING:
    from filelock import BaseFileLock

try:
    import fcntl
except ImportError:  # Windows, which cannot remove an open file: that is the lock
    fcntl = None  # type: ignore[assignment]


def try_lock(file: Path, timeout_s: float = 0.0, *, is_reentrant: bool = False) -> BaseFileLock | None:
    """Returns the lock of a lock file, for the caller to release, or None if another process holds it for `timeout_s`.

    The folder is created if it is missing. With `is_reentrant`, nested blocks of this process share the lock.
    """
    from filelock import FileLock, Timeout

    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file, timeout=timeout_s, is_singleton=is_reentrant)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock


@contextmanager
def hold_lock(
    file: Path, busy: Callable[[], BusyError], timeout_s: float = 0.0, *, is_reentrant: bool = False
) -> Iterator[None]:
    """Opens a block that holds a lock file. Raises the error by `busy` if another process holds it."""
    lock = try_lock(file, timeout_s, is_reentrant=is_reentrant)
    if lock is None:
        raise busy()
    try:
        yield
    finally:
        lock.release()


def is_locked(file: Path) -> bool:
    """Whether a process holds a lock file, or the file cannot be opened."""
    try:
        lock = try_lock(file)
    except OSError:
        return True
    if lock is not None:
        lock.release()
    return lock is None


def lock_handle(handle: int, *, is_shared: bool = False, waits: bool = True) -> None:
    """Locks an open file until it is closed. On Windows it does nothing.

    Raises BlockingIOError if another process holds it and `waits` is false, OSError on a file system without locks.
    """
    if fcntl is not None:
        mode = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
        fcntl.flock(handle, mode if waits else mode | fcntl.LOCK_NB)
