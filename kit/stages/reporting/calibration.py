"""Calibration: whether predictions with confidence p are right in a share p of the cases.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equations 2, 3 and 5.
"""

from __future__ import annotations

import numpy as np

from kit.stages.reporting.row_facts import Bin, Calibration

BINS = 15  # as in the paper


def measure_calibration(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Calibration:
    """Returns the calibration of answers (N,), in equal bins ((m - 1)/M, m/M].

    The expected error weighs each bin by its answers.
    """
    bin_of_row = np.clip(np.ceil(confidence.astype(np.float64) * bins).astype(np.int64) - 1, 0, bins - 1)
    all_bins = tuple(
        Bin(
            number / bins,
            (number + 1) / bins,
            int(inside.sum()),
            float(confidence[inside].mean(dtype=np.float64)),
            float(right[inside].mean()),
        )
        for number in range(bins)
        if (inside := bin_of_row == number).any()
    )
    error = sum(
        bin_of_rows.rows * abs(bin_of_rows.accuracy - bin_of_rows.confidence) for bin_of_rows in all_bins
    ) / max(len(confidence), 1)
    return Calibration(all_bins, float(error))
