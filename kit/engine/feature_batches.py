"""FeatureBatches: batches of bags of cached vectors. A bag has one vector or several, and one label.

A bag with fewer vectors than the largest one of its batch is padded with zeros, which no vector of an image
is. Each draw depends only on (seed, fold, epoch, bag).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kit.core.batching import even_batches
from kit.core.randomness import generator
from kit.data.column_encoder import SideValues
from kit.data.vector_table import VectorTable
from kit.engine.batches import Batch, batch
from kit.kinds import Sampler


@dataclass(frozen=True, eq=False)
class Bags:
    """Bags of rows of a table.

    `first` (B,) identifies each by its first row, and `rows` has its rows in their order.
    """

    first: np.ndarray
    rows: Sequence[np.ndarray]

    @classmethod
    def of_rows(cls, rows: np.ndarray) -> Bags:
        """Returns a bag for each row."""
        return cls(rows, list(rows[:, None]))

    @classmethod
    def of_groups(cls, rows: np.ndarray, names: np.ndarray, order: np.ndarray | None = None) -> Bags:
        """Returns a bag for each name among `rows`, in the order of its first row.

        `names` (rows of the table,) has the bag of each row. `order`, of the same length, sorts the rows of a bag.
        """
        by_name: dict[object, list[int]] = {}
        for row, name in zip(rows.tolist(), names[rows].tolist(), strict=True):
            by_name.setdefault(name, []).append(row)
        bags = [np.array(bag, np.int64) for bag in by_name.values()]
        first = np.array([bag[0] for bag in bags], np.int64)
        if order is not None:
            bags = [bag[np.argsort(order[bag], kind="stable")] for bag in bags]
        return cls(first, bags)

    def __len__(self) -> int:
        return len(self.first)

    def split(self, bags: int, instances: int) -> list[list[np.ndarray]]:
        """Splits the rows of all bags into parts with at most this many bags and, with padding, instances.

        A bag stays whole.
        """
        parts: list[list[np.ndarray]] = [[]]
        most = 0
        for rows in self.rows:
            most = max(most, len(rows))
            if parts[-1] and (len(parts[-1]) == bags or (len(parts[-1]) + 1) * most > instances):
                parts.append([])
                most = len(rows)
            parts[-1].append(rows)
        return [part for part in parts if part]

    def expand(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Expands values (B, any) of bags to their rows: the rows (N,), ascending, and their values (N, any)."""
        counts = [len(row) for row in self.rows]
        rows = np.concatenate([*self.rows, np.empty(0, np.int64)]).astype(np.int64)
        repeated = np.repeat(values, counts, axis=0)
        ascending = np.argsort(rows, kind="stable")
        return rows[ascending], repeated[ascending]


def pad_bags(features: VectorTable, bags: Sequence[np.ndarray]) -> Tensor:
    """Returns the vectors of bags of rows, (B, most rows, features) float32, padded with zeros."""
    counts = np.array([len(rows) for rows in bags])
    padded = np.zeros((len(bags), int(counts.max()), features.features), np.float32)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    padded[np.repeat(np.arange(len(bags)), counts), within] = features.gather(np.concatenate(list(bags)))
    return torch.from_numpy(padded)


class FeatureBatches:
    """The batches of bags of one fold, epoch by epoch, as `kit.engine.fit` takes them.

    `labels`, `targets` and `side` have one row per table row, and a bag has those of its first row. If a bag has more
    than `max_instances` rows, each epoch draws that many again and keeps their order.
    """

    def __init__(
        self,
        features: VectorTable,
        bags: Bags,
        labels: np.ndarray,
        sampler: Sampler,
        batch_size: int,
        seed: int = 0,
        fold: int = 0,
        targets: np.ndarray | None = None,
        max_instances: int | None = None,
        side: SideValues | None = None,
    ) -> None:
        self.features, self.bags, self.labels = features, bags, np.asarray(labels)
        self.targets = self.labels if targets is None else targets
        self.sampler, self.batch_size, self.seed, self.fold = sampler, batch_size, seed, fold
        self.max_instances, self.side = max_instances, side
        self.steps = len(even_batches(len(self.order(0)), batch_size))

    def order(self, epoch: int) -> np.ndarray:
        """Returns the positions of the bags in an epoch, in their order."""
        rng = generator(self.seed, "order", self.fold, epoch)
        return np.asarray(self.sampler.order(self.labels[self.bags.first], rng))

    def epoch(self, number: int, first_step: int = 0) -> Iterator[Batch]:
        """Yields the batches of an epoch from one step on."""
        order = self.order(number)
        for part in even_batches(len(order), self.batch_size)[first_step:]:
            chosen = order[part]
            rows = [self._draw(self.bags.rows[at], number) for at in chosen.tolist()]
            yield batch(pad_bags(self.features, rows), self.bags.first[chosen], self.targets, side=self.side)

    def _draw(self, rows: np.ndarray, epoch: int) -> np.ndarray:
        if self.max_instances is None or len(rows) <= self.max_instances:
            return rows
        rng = generator(self.seed, "instances", self.fold, epoch, int(rows[0]))
        return np.asarray(rows[np.sort(rng.choice(len(rows), self.max_instances, replace=False))])

    def close(self) -> None:
        """Does nothing."""
