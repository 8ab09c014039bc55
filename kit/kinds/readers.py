"""The readers of files other than image files."""

from __future__ import annotations

from pathlib import Path

from kit.kinds.reader import Reader
from kit.kinds.registry import locations

IMAGE = "image"  # the reader of image files


def other_readers(root: Path | None = None) -> list[Reader]:
    """Returns the readers of other files, by name. `root` is the workspace whose readers count too."""
    return [Reader.open(name, root) for name in locations("reader", root) if name != IMAGE]
