"""commit: which state of a team's git repository a run was begun at."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

GIT_TIMEOUT_S = 10.0  # seconds; git on a slow disk must not hold a training up


def commit(folder: Path) -> dict[str, Any] | None:
    """The commit that is checked out where a folder lies, and whether tracked files differ from it.

    None outside a repository, before its first commit, and without git. Nothing that the repository's own settings
    name is run.
    """
    name = _git(folder, "rev-parse", "--verify", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if name is None or changed is None:
        return None
    return {"commit": name.strip(), "dirty": bool(changed.strip())}


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
    try:
        made = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=GIT_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return made.stdout if made.returncode == 0 else None
