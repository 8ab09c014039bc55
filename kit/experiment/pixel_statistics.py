"""Pixel statistics: mean and deviation of each channel over the training images, which normalise the images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kit.config.models import Experiment
from kit.core.pixel_types import to_floats
from kit.errors import DataError
from kit.images.cache import Cache
from kit.images.concat_cache import ConcatCache

MAX_ROWS = 2048  # maximum number of measured images, evenly spread over the training rows
STEP_PX = 2  # stride along each axis of the measured pixels
MIN_DEVIATION = 1e-6  # of pixels from 0 to 1; a channel below it is constant

MeanAndDeviation = tuple[np.ndarray, np.ndarray]  # (channels,) each, of pixels from 0 to 1


@dataclass(frozen=True, eq=False)
class Moments:
    """Numbers of pixels (rows,), and sums and sums of squares of each channel (rows, channels), float64."""

    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray

    def statistics(self, rows: np.ndarray | slice = slice(None)) -> MeanAndDeviation:
        """Returns mean and deviation of each channel over some of the rows."""
        count = max(self.counts[rows].sum(), 1)
        mean = self.sums[rows].sum(axis=0) / count
        return mean, np.sqrt(np.maximum(self.squares[rows].sum(axis=0) / count - mean**2, 0))


def is_measured(experiment: Experiment) -> bool:
    """Whether an experiment measures its training rows: if it is set, or if its images are not RGB."""
    return experiment.normalisation == "measured" or (
        experiment.normalisation == "auto" and experiment.channels != 3
    )


def choose_rows(rows: np.ndarray) -> np.ndarray:
    """Returns the rows that are measured."""
    return rows[:: max(1, len(rows) // MAX_ROWS)]


def sum_rows(cache: Cache | ConcatCache, rows: np.ndarray) -> Moments:
    """Returns the sums of the pixels of some rows, from 0 to 1."""
    counts = np.zeros(len(rows))
    sums, squares = np.zeros((len(rows), cache.channels)), np.zeros((len(rows), cache.channels))
    for at, row in enumerate(rows.tolist()):
        pixels = to_floats(cache[row][::STEP_PX, ::STEP_PX]).reshape(-1, cache.channels)
        values = pixels.astype(np.float64) / 255
        counts[at], sums[at], squares[at] = len(values), values.sum(axis=0), (values**2).sum(axis=0)
    return Moments(counts, sums, squares)


def find_constant(deviation: np.ndarray) -> list[int]:
    """Returns the channels without a deviation."""
    return np.flatnonzero(deviation < MIN_DEVIATION).tolist()


def measure(cache: Cache | ConcatCache, rows: np.ndarray) -> MeanAndDeviation:
    """Returns mean and deviation of each channel over the images of some rows. Raises DataError D87."""
    mean, deviation = sum_rows(cache, choose_rows(rows)).statistics()
    if constant := find_constant(deviation):
        raise DataError(
            f"channels {', '.join(map(str, constant))} of the training images are constant",
            code="D87",
            hint=REPAIR,
        )
    return mean, deviation


REPAIR = (
    "leave them out with data.reader.take, which counts channels from 0; or give normalisation.mean and "
    "normalisation.std"
)
