"""Every random draw is a pure function of (seed, purpose, where): no state to save, no order to keep.

A purpose is a word and the numbers that place the draw, such as `"augment", fold, epoch, row, occurrence`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def _digest(seed: int, purpose: tuple[str | int, ...]) -> bytes:
    text = "\x1f".join(str(part) for part in (seed, *purpose))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """numpy's generator for one purpose (Philox, keyed by a hash of all that names the draw)."""
    import numpy as np

    return np.random.Generator(np.random.Philox(key=int.from_bytes(_digest(seed, purpose), "little")))


def number(seed: int, *purpose: str | int) -> int:
    """A whole number from 0 to 2^63 - 1 for one purpose, to seed another library with."""
    return int.from_bytes(_digest(seed, purpose)[:8], "little") >> 1
