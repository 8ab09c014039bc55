"""Cores: how many processors this process may use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def available_cores() -> int:
    """The processor cores this process may use: its affinity, or the container's quota where that is less."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(mine, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no quota reads "max 100000"
        return mine
