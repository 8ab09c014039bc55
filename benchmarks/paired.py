"""Paired gains of a technique over its baseline, with their interval."""

from __future__ import annotations

import numpy as np
from scipy.stats import t as student


def interval(gains: np.ndarray) -> str:
    """Returns the mean of paired gains and their 95 % interval by Student's t."""
    half = student.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains))
    return f"{gains.mean():+.3f} ({gains.mean() - half:+.3f} to {gains.mean() + half:+.3f})"
