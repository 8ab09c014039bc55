"""Every random draw is a pure function of (seed, purpose, position): it needs neither saved state nor an order.

A purpose is a word and the numbers of the draw, such as `"augment", fold, epoch, row, occurrence`.
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
    """Returns numpy's generator for one purpose (Philox, keyed by a hash of all parts of the draw's name)."""
    import numpy as np

    return np.random.Generator(np.random.Philox(key=int.from_bytes(_digest(seed, purpose), "little")))


def number(seed: int, *purpose: str | int) -> int:
    """Returns a whole number from 0 to 2^63 - 1 for one purpose, as a seed for another library."""
    return int.from_bytes(_digest(seed, purpose)[:8], "little") >> 1
