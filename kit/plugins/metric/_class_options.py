"""Options of metrics that name classes: their numbers, and weights by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from kit.errors import ConfigError, did_you_mean


def check_names(names: Iterable[str], classes: Sequence[str], option: str) -> None:
    """Raises ConfigError C47 for a name that is no class."""
    unknown = [name for name in names if name not in classes]
    if unknown:
        shown = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
        raise ConfigError(
            f"metric.{option}: no class is named {unknown[0]!r}{did_you_mean(unknown[0], classes)}",
            code="C47",
            hint=f"the classes: {shown}",
        )


def class_numbers(names: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """The numbers of classes, int64, in the order of `names`. Raises ValueError for a name that is no class."""
    return np.array([list(classes).index(name) for name in names], dtype=np.int64)


def weights_of(weights: Mapping[str, float], classes: Sequence[str]) -> np.ndarray:
    """The weight of each class, float64 (K,); classes that are not named weigh 1."""
    return np.array([weights.get(name, 1.0) for name in classes], dtype=np.float64)
