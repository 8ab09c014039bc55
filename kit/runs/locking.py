"""Locking: one process at a time on a folder of a run; who it is stands beside the lock."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kit.core.files import read_json, write_json
from kit.core.locks import hold_lock
from kit.errors import BusyError

BUSY, LOCK = "busy.json", ".lock"
POLL_S = 0.5  # seconds to wait for the lock, so that a mere look at it (`kit runs ls`) turns nobody away


@contextmanager
def lock_folder(folder: Path, patience: float = POLL_S) -> Iterator[None]:
    """Keeps other processes off a folder. Raises BusyError R08, naming the one at work, after so many seconds."""
    note = folder / BUSY

    def busy() -> BusyError:
        return BusyError(
            f"{folder} is in use by {lock_owner(folder)}",
            code="R08",
            hint="wait until it ends, or use another name",
        )

    with hold_lock(folder / LOCK, busy, patience):
        try:
            write_json(note, _myself())
            yield
        finally:
            note.unlink(missing_ok=True)


def _myself() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "host": platform.node(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def lock_owner(folder: Path) -> str:
    """The process at work on a run's folder, as words."""
    try:
        held = read_json(folder / BUSY)
        return f"process {held['pid']} on {held['host']} since {held['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
