"""M per class: blocks of a few classes with a few rows each, for batches of metric learning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Sampler

if TYPE_CHECKING:
    import numpy as np


class MPerClass(Sampler):
    """Blocks of `classes_per_block` different classes with `rows_per_class` rows each.

    If batch_size is rows_per_class * classes_per_block, a block is a batch. An epoch has the number of whole
    blocks nearest to the table's length, at least one. Each block takes the classes that were shown least,
    and of each class the rows that were shown least, at random among equals. A row is in a block twice only
    if its class has fewer than rows_per_class rows. If a table has fewer classes, blocks have all of them.

    Source: the batches of P classes with K images of Hermans et al. 2017, "In Defense of the Triplet Loss for Person
    Re-Identification", section 2; MPerClassSampler of pytorch-metric-learning.
    """

    rows_per_class: int = Field(4, ge=1, description="rows per class in a block")
    classes_per_block: int = Field(8, ge=1, description="classes in a block")

    def order(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import numpy as np

        rows = [np.flatnonzero(labels == name) for name in np.unique(labels)]
        wide = min(self.classes_per_block, len(rows))
        times_shown, seen = [np.zeros(len(row), int) for row in rows], np.zeros(len(rows), int)
        blocks = []
        for _ in range(max(round(len(labels) / (self.rows_per_class * wide)), 1)):
            for name in least(seen, wide, rng):
                blocks.append(rows[name][least(times_shown[name], self.rows_per_class, rng)])
        return np.concatenate(blocks)


def least(times: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Returns `count` positions shown least, at random among equals, without repeats as far as possible;
    counts them in `times`.
    """
    import numpy as np

    rounds, more = divmod(count, len(times))
    first = np.lexsort((rng.random(len(times)), times))[:more]
    drawn_classes = np.concatenate([np.tile(np.arange(len(times)), rounds), first])
    np.add.at(times, drawn_classes, 1)
    return drawn_classes
