"""Channels: finds channels with one value in all training rows of a fold, which stop its training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kit.config.models import Experiment
from kit.data.folds import Folds
from kit.errors import Case
from kit.experiment.pixel_statistics import REPAIR, choose_rows, find_constant, is_measured, sum_rows
from kit.images.cache import Cache
from kit.kinds import Splitter
from kit.stages.checks.finding import Finding


def check_constant_channels(
    cache: Cache, usable: np.ndarray, folds: Folds, splitter: Splitter, experiment: Experiment
) -> Iterator[Finding]:
    """Yields K51 for constant channels, if their statistics are measured.

    The first images of the cache are those of the training rows, of which `usable` (rows,) are readable.
    """
    if not is_measured(experiment):
        return
    rows = choose_rows(np.flatnonzero(usable))
    moments = sum_rows(cache, rows)
    cases, channels = [], set()
    for fold in range(folds.count):
        constant = find_constant(moments.statistics(folds.training_mask(splitter, fold)[rows])[1])
        if constant:
            channels.update(constant)
            cases.append(Case(f"fold {fold}: channel {', '.join(map(str, constant))}"))
    if cases:
        yield Finding(
            "K51",
            "problem",
            f"{len(channels)} of {experiment.channels} channels are constant in the training rows of "
            f"{len(cases)} of {folds.count} folds",
            "kit train stops with D87, because such a channel has no deviation to normalise by",
            REPAIR,
            tuple(cases),
        )
