"""Balanced: every class as often as any other, in an epoch as long as the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Sampler
from kit.plugins.sampler.oversample import repeat_rows

if TYPE_CHECKING:
    import numpy as np


class Balanced(Sampler):
    """Drops rows of frequent classes and repeats rows of rare ones. The length of an epoch stays the same.

    The share of a class is proportional to (its rows)^power: 0 makes classes equal, 0.5 is the square root, 1
    changes nothing. Shares are rounded to whole rows by largest remainders.

    Source: Mahajan et al. 2018, "Exploring the Limits of Weakly Supervised Pretraining", section 2.2 (square root);
    Kang et al. 2020, "Decoupling Representation and Classifier", equation 1 (power q).
    """

    power: float = Field(
        0.0,
        ge=0,
        le=1,
        description="exponent of the class frequencies: 0 = equal classes, 0.5 = square root, 1 = as in the table",
    )

    def order(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import numpy as np

        classes, counts = np.unique(labels, return_counts=True)
        wanted = whole(counts**self.power / (counts**self.power).sum() * len(labels))
        rows = [
            repeat_rows(np.flatnonzero(labels == name), count, rng)
            for name, count in zip(classes, wanted, strict=True)
        ]
        return rng.permutation(np.concatenate(rows))


def whole(shares: np.ndarray) -> list[int]:
    """Returns shares as whole numbers of the same sum, rounded by largest remainders (Hamilton's method)."""
    import numpy as np

    down = np.floor(shares + 1e-9).astype(int)
    missing = round(shares.sum()) - down.sum()
    down[np.argsort(down - shares, kind="stable")[:missing]] += 1
    return [int(count) for count in down]
