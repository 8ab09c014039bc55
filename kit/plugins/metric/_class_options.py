"""Options of metrics that name classes: their numbers, and weights by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np

from kit.errors import ConfigError, did_you_mean


def check_names(names: Iterable[str], classes: Sequence[str], option: str, what: str = "class") -> None:
    """Raises ConfigError C47 for a name that is not a class; `what` is the word for a class in the message."""
    unknown = [name for name in names if name not in classes]
    if unknown:
        known_names = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
        plural = {"class": "classes"}.get(what, f"{what}s")
        raise ConfigError(
            f"metric.{option}: no {what} is named {unknown[0]!r}{did_you_mean(unknown[0], classes)}",
            code="C47",
            hint=f"the {plural}: {known_names}",
        )


def expand_names(
    patterns: Iterable[str], names: Sequence[str], option: str, what: str = "class"
) -> list[str]:
    """Returns the names that match patterns such as `spinal_*`, without repeats.

    Raises ConfigError C47 if a pattern matches none.
    """
    expanded: dict[str, None] = {}
    for pattern in patterns:
        fitting = [pattern] if pattern in names else [name for name in names if fnmatchcase(name, pattern)]
        if not fitting:
            check_names([pattern], names, option, what)
        expanded |= dict.fromkeys(fitting)
    return list(expanded)


def class_numbers(names: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Returns the numbers of classes, int64, in the order of `names`.

    Raises ValueError for a name that is not a class.
    """
    return np.array([list(classes).index(name) for name in names], dtype=np.int64)


def weights_of(weights: Mapping[str, float], classes: Sequence[str]) -> np.ndarray:
    """Returns the weight of each class, float64 (K,). Classes without a given weight have 1."""
    return np.array([weights.get(name, 1.0) for name in classes], dtype=np.float64)
