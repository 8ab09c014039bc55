"""Paths of many files as one string and its ends: a path object each would take five times the memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np


class PathList(Sequence[Path]):
    """Paths by position, made when they are asked for; equal to any sequence of the same paths."""

    __slots__ = ("_ends", "_text")

    def __init__(self, paths: Iterable[Path | str] = ()) -> None:
        texts = [os.fsencode(path) for path in paths]
        self._text = b"".join(texts)
        self._ends = np.cumsum([0, *map(len, texts)])

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, at: int) -> Path: ...
    @overload
    def __getitem__(self, at: slice) -> PathList: ...
    def __getitem__(self, at: int | slice) -> Path | PathList:
        if isinstance(at, slice):
            return PathList(self._at(number) for number in range(*at.indices(len(self))))
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        return Path(self._at(at % len(self)))

    def _at(self, number: int) -> str:
        return os.fsdecode(self._text[self._ends[number] : self._ends[number + 1]])

    def __iter__(self) -> Iterator[Path]:
        return (Path(self._at(number)) for number in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"PathList({list(self)!r})"
