"""The folders of a competition's files, each with its files."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

IGNORED_FOLDERS = frozenset({"cache", "runs", "submissions", "plugins"})  # a workspace's own folders


def walk_outside(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields the folders below a path outside the data folder, by their absolute paths; for a file its folder
    with only it.
    """
    if path.is_file():
        yield path.parent.as_posix(), [path.name]
        return
    for folder, names in walk(path):
        yield posixpath.join(path.as_posix(), folder).rstrip("/"), names


def walk(root: Path, skipped: Path | None = None) -> Iterator[tuple[str, list[str]]]:
    """Yields the folders below one, by their paths below it, each with its files; hidden ones are left out.

    The folder `skipped`, a workspace, is left out too. Without it `root` may be one, and its own folders are
    left out.
    """
    seen = set[str]() if skipped is None else {os.path.realpath(skipped)}
    for path, inner, names in os.walk(root, followlinks=True):
        real = os.path.realpath(path)
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        folder = Path(path).relative_to(root).as_posix().removeprefix(".")
        inner[:] = sorted(
            name
            for name in inner
            if not name.startswith((".", "__")) and (folder or skipped or name not in IGNORED_FOLDERS)
        )
        yield folder, sorted(name for name in names if not name.startswith("."))
