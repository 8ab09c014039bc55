"""Containers that stay open: each is opened once per process, and again after a change."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from kit.core.image_files import read_image_bytes

MAX_OPEN_FILES = 128
_LOCK = threading.RLock()
_OPEN: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
Handle = TypeVar("Handle")


def open_once(opener: Callable[[Path], Handle], file: Path) -> Handle:
    """Returns the result of `opener` for a file, cached for the next call. The least recently used of 128 is closed.

    Raises DataError D01, D02, D08 or D09 if the file cannot be opened, and the errors of `opener`.
    """
    try:
        stat = file.stat()
        key = (os.getpid(), opener, str(file), stat.st_size, stat.st_mtime_ns, stat.st_ino)
    except OSError:
        read_image_bytes(file, 1)
        raise
    with _LOCK:
        if key not in _OPEN:
            read_image_bytes(file, 1)
            _OPEN[key] = opener(file)
            while len(_OPEN) > MAX_OPEN_FILES:
                _close(_OPEN.popitem(last=False)[1])
        _OPEN.move_to_end(key)
        opened: Handle = _OPEN[key]
        return opened


def _close(handle: Any) -> None:
    with suppress(Exception):  # any error of a library for a file that was deleted
        handle.close()
