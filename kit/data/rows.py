"""Rows of a source before labels become numbers: ids, image paths and columns of text."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kit.core.legible import is_legible, legible
from kit.errors import MAX_CASES, KitWarning

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class SourceRows:
    """The rows of a source: ids, image paths, and columns of text, all in the source's order."""

    ids: tuple[str, ...]
    paths: tuple[Path, ...]
    columns: Mapping[str, Sequence[str]]
    sources: tuple[str, ...] = ()  # of each row, blank for the competition's own; empty if all rows are


def warn_of_names(paths: Iterable[Path | str], split: str) -> None:
    """Warns (W50) of files whose names are not UTF-8, because they become parts of ids and labels."""
    odd = [path for path in map(str, paths) if not is_legible(path)]
    if odd:
        text = f"W50 the names of {len(odd)} {split} files are not UTF-8, so their ids show the bytes: "
        more = ", …" if len(odd) > MAX_CASES else ""
        examples = ", ".join(legible(path) for path in odd[:MAX_CASES])
        warnings.warn(KitWarning(f"{text}{examples}{more}"), stacklevel=2)
