"""Oversample: every class as often as the most frequent one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.kinds import Sampler

if TYPE_CHECKING:
    import numpy as np


class Oversample(Sampler):
    """Repeats rows until every class has as many as the most frequent one: each equally often, or once more.

    Source: random oversampling, He and Garcia 2009, "Learning from Imbalanced Data", section 3.1.1, with whole
    passes over a class instead of draws with replacement.
    """

    def order(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import numpy as np

        classes, counts = np.unique(labels, return_counts=True)
        rows = [repeat_rows(np.flatnonzero(labels == name), int(counts.max()), rng) for name in classes]
        return rng.permutation(np.concatenate(rows))


def repeat_rows(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Returns `count` of the rows: as many whole copies as fit, then different rows drawn at random."""
    import numpy as np

    times, more = divmod(count, len(rows))
    return np.concatenate([np.tile(rows, times), rng.permutation(rows)[:more]])
