"""unlabelled: views of rows without a label, which follow the rows of each training batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kit.core.randomness import generator

if TYPE_CHECKING:
    from kit.engine.batches import Key
    from kit.kinds import Augmenter


@dataclass(frozen=True, eq=False)
class UnlabelledRows:
    """Rows without a label. Each batch has `ratio` of them per row of its own, in a weak and in a strong view."""

    rows: np.ndarray  # (rows,) int64, positions of weak views in the cache
    offset: int  # from a row's weak view to its strong one
    strong_from: int  # the first position of a strong view; they follow all other rows of the cache
    ratio: int
    strong: Augmenter
    seed: int
    fold: int

    def order(self, count: int, epoch: int) -> np.ndarray:
        """Returns so many rows for an epoch, in random order. No row is repeated before all others were used."""
        rng = generator(self.seed, "unlabelled", self.fold, epoch)
        rounds = -(-count // len(self.rows))
        rows: np.ndarray = np.concatenate([self.rows[rng.permutation(len(self.rows))] for _ in range(rounds)])
        return rows[:count]

    def add_views(
        self, epoch: int, order: np.ndarray, times: np.ndarray, parts: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], list[list[Key]]]:
        """Returns the rows and keys of batches: their own rows, all weak views, then the strong ones in the same order.

        `order` and `times` are the labelled rows of the epoch and their occurrences, `parts` their positions by batch.
        """
        extra = self.order(self.ratio * len(order), epoch)
        occurrences = np.arange(len(extra)) // len(self.rows)
        rows, keys = [], []
        for part in parts:
            views = slice(self.ratio * int(part[0]), self.ratio * (int(part[-1]) + 1))
            weak = extra[views]
            rows.append(np.concatenate([order[part], weak, weak + self.offset]))
            seen = np.concatenate([times[part], occurrences[views], occurrences[views]])
            keys.append([(epoch, int(row), int(time)) for row, time in zip(rows[-1], seen, strict=True)])
        return rows, keys
