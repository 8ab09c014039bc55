"""Positives: counts the rows of a batch with another row of their class, which losses that compare rows need."""

from __future__ import annotations

import warnings

import numpy as np

from kit.core.batching import even_batches
from kit.core.randomness import generator
from kit.errors import KitWarning
from kit.experiment.techniques import OpenStage

MIN_SHARE = 0.5  # of the rows


def describe_positives(stage: OpenStage, labels: np.ndarray) -> str:
    """Returns a line on the first epoch of a stage; empty for a loss that needs none. `labels` (rows,) are fold 0's.

    Warns W82 if fewer than half of the rows have another row of their class in their batch.
    """
    if not stage.loss.needs_positives or labels.ndim != 1:
        return ""
    share = positive_share(stage, labels)
    name = stage.loss.plugin_name()
    if share < MIN_SHARE:
        text = (
            f"W82 loss {name!r} compares rows of one class, but only {share:.0%} of the rows have another one in "
            "their batch; use sampler=m_per_class or a larger batch_size"
        )
        warnings.warn(KitWarning(text), stacklevel=4)
    return f"loss {name}: {share:.0%} of the rows have another row of their class in their batch"


def positive_share(stage: OpenStage, labels: np.ndarray) -> float:
    """Returns the share of an epoch's rows with another row of their class in their batch."""
    order = labels[stage.sampler.order(labels, generator(stage.experiment.seed, "order", 0, 0))]
    rows_with_positive = 0
    for part in even_batches(len(order), stage.experiment.batch_rows()):
        _, counts = np.unique(order[part[0] : part[-1] + 1], return_counts=True)
        rows_with_positive += int(counts[counts > 1].sum())
    return rows_with_positive / max(len(order), 1)
