"""ConcatCache: the images of several caches, one after another, without a copy of any."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np

from kit.core.pixel_types import PixelType
from kit.images.cache import Cache


@dataclass(frozen=True, eq=False)
class ConcatCache:
    """Caches as one: the first row of the second follows the last row of the first."""

    parts: tuple[Cache | ConcatCache, ...]

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, row: int) -> np.ndarray:
        """Returns the row's image, read-only. Raises DataError for a row without one."""
        if not 0 <= row < len(self):
            raise IndexError(row)
        part = bisect_right(self._starts, row) - 1
        return self.parts[part][row - self._starts[part]]

    @property
    def channels(self) -> int:
        """The channels of each image."""
        return self.parts[0].channels

    @property
    def pixel_type(self) -> PixelType:
        """The type of the pixels."""
        return self.parts[0].pixel_type

    @property
    def paths(self) -> Sequence[Path]:
        """The images' files, row by row."""
        return [path for part in self.parts for path in part.paths]

    @cached_property
    def _starts(self) -> list[int]:
        """The first row of each part, followed by the number of rows."""
        return list(accumulate((len(part) for part in self.parts), initial=0))
