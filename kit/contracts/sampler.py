"""Contract tests of samplers, on balanced, skewed and single-class labels of the kinds that they take."""

from __future__ import annotations

import numpy as np

from kit.core.randomness import generator
from kit.kinds import Sampler

COUNTS = ((5, 5, 5), (40, 7, 1), (3, 0, 12), (6,), (1,))


def _labels(plugin: Sampler) -> list[np.ndarray]:
    """Returns shuffled class numbers with these counts, and multi-hot rows, of which some are empty."""
    label_sets: list[np.ndarray] = []
    for number, counts in enumerate(COUNTS):
        rng = generator(0, "laws of samplers", number)
        labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
        if plugin.takes_labels("class_index"):
            label_sets.append(labels)
        if plugin.takes_labels("multi_hot"):
            hot = (labels[:, None] == np.arange(len(counts))) ^ (rng.random((len(labels), len(counts))) < 0.3)
            label_sets.append(hot.astype(np.int8))
        if plugin.takes_labels("numbers"):
            label_sets.append(rng.normal(size=(len(labels), 2)))
    return label_sets


def law_orders_rows_that_exist(plugin: Sampler) -> None:
    """An epoch is not empty, and its positions are valid integer indices into the labels."""
    for labels in _labels(plugin):
        order = plugin.order(labels, generator(1, "law"))
        assert (order.ndim, order.dtype.kind) == (1, "i"), f"{order.dtype} of shape {order.shape}"
        assert len(order) > 0, f"no row of {len(labels)}"
        low, high = int(order.min()), int(order.max())
        assert {low, high} <= set(range(len(labels))), f"positions {low} to {high} of {len(labels)} rows"


def law_same_rng_same_order(plugin: Sampler) -> None:
    """Equal generators give equal orders."""
    for labels in _labels(plugin):
        first, again = (plugin.order(labels, generator(2, "law")) for _ in range(2))
        assert np.array_equal(first, again), f"{first[:8]} and {again[:8]}"


def law_epochs_are_equally_long(plugin: Sampler) -> None:
    """Every epoch has the same number of rows, so that a run's number of steps is known."""
    for labels in _labels(plugin):
        lengths = {len(plugin.order(labels, generator(seed, "law"))) for seed in range(4)}
        assert len(lengths) == 1, f"epochs of {sorted(lengths)} rows"


def law_leaves_the_labels_as_they_were(plugin: Sampler) -> None:
    """The given labels are not changed."""
    for labels in _labels(plugin):
        given = labels.copy()
        plugin.order(given, generator(3, "law"))
        assert np.array_equal(given, labels), f"{labels} became {given}"
