"""Repeat factor: repeats rows by their rarest class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from kit.kinds import Sampler

if TYPE_CHECKING:
    import numpy as np


class RepeatFactor(Sampler):
    """Every row at least once per epoch, and sqrt(t / f) times if a fraction f of the rows has its rarest class.

    t is `frequency_threshold`. If the factor is not a whole number, a draw in every epoch chooses the rows
    that come once more. Rows without a label come once.

    Source: Gupta, Dollar and Girshick 2019, "LVIS: A Dataset for Large Vocabulary Instance Segmentation", repeat factor
    sampling.
    """

    label_kinds = ("class_index", "multi_hot")

    frequency_threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="rows of classes below this frequency are repeated; by default the mean class frequency",
    )

    def order(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        import numpy as np

        factors, rows = self.factors(labels), rng.permutation(len(labels))
        times = np.floor(factors + 1e-9).astype(np.int64)
        parts = np.maximum(factors - times, 0)
        more = round(float(parts.sum()))
        # evenly spaced marks on the parts laid end to end hit each row as often as its part requires
        marks = (np.arange(more) + rng.random()) * (parts.sum() / max(more, 1))
        hit = np.searchsorted(np.cumsum(parts[rows]), marks, side="right").clip(max=len(rows) - 1)
        return rng.permutation(np.concatenate([np.repeat(np.arange(len(labels)), times), rows[hit]]))

    def factors(self, labels: np.ndarray) -> np.ndarray:
        """Returns how often each row comes in the mean over epochs, (N,)."""
        import numpy as np

        hot = labels.astype(bool) if labels.ndim == 2 else labels[:, None] == np.unique(labels)
        frequencies = hot.mean(axis=0)
        frequencies = np.where(frequencies > 0, frequencies, 1)
        share = (
            self.frequency_threshold
            if self.frequency_threshold is not None
            else hot.any(axis=0) @ frequencies / max(hot.any(axis=0).sum(), 1)
        )
        of_classes = np.maximum(1, np.sqrt(share / frequencies))
        factors: np.ndarray = np.where(hot, of_classes, 1).max(axis=1)
        return factors
