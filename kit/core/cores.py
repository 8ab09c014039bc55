"""Cores: the number of processors that this process may use."""

from __future__ import annotations

import os
from pathlib import Path

PART_OF_CORES = "KIT_CORES"  # set by executors, so that workers on one machine share it


def available_cores() -> int:
    """Returns the number of cores that this process may use: its affinity, the container's quota, or its part
    as a worker (KIT_CORES).
    """
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get(PART_OF_CORES, "")
    if given.isascii() and given.isdecimal():
        mine = max(1, min(mine, int(given)))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(mine, round(int(quota) / int(period))))
    except (OSError, ValueError):  # an unlimited quota reads "max 100000"
        return mine
