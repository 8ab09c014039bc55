"""Space: the values of each key in a sweep: one after another, or a range to search."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from kit.errors import ConfigError

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
RANGE = re.compile(rf"(log:)?({NUMBER})\.\.({NUMBER})")


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, inclusive; integers if both are written as integers; optionally on a log scale."""

    low: float
    high: float
    log: bool
    whole: bool


@dataclass(frozen=True)
class Axis:
    """A key of the config with its texts, one if it is fixed, or its range."""

    key: str
    values: tuple[str, ...] = ()
    range: Range | None = None


def axis(text: str) -> Axis:
    """Returns the axis of `optimizer.lr=0.001,0.002`, `optimizer.lr=log:1e-4..1e-2` or `epochs=20`.

    Commas within brackets, braces and quotes belong to the value. Raises ConfigError C05 for any other text.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"{text!r} is not key=value", code="C05", hint="such as optimizer.lr=0.001,0.002")
    match = RANGE.fullmatch(value)
    if match is None:
        return Axis(key, _parts(value))
    low, high = float(match[2]), float(match[3])
    whole = all(re.fullmatch(r"[+-]?\d+", part) for part in (match[2], match[3]))
    if low >= high or (match[1] and low <= 0):
        raise ConfigError(
            f"{text!r} is an empty range",
            code="C05",
            hint="low..high; for log both must be above 0, such as log:1e-4..1e-2",
        )
    return Axis(key, range=Range(low, high, bool(match[1]), whole))


def _parts(value: str) -> tuple[str, ...]:
    """Splits the value at commas that are not in a bracket, brace or quote."""
    parts, depth, quoted, start = [], 0, False, 0
    for index, letter in enumerate(value):
        quoted ^= letter == '"'
        depth += (letter in "[{") - (letter in "]}") if not quoted else 0
        if letter == "," and not depth and not quoted:
            parts.append(value[start:index])
            start = index + 1
    return (*parts, value[start:])


def expand_grid(axes: Sequence[Axis], config_sets: Sequence[Sequence[str]] = ()) -> list[tuple[str, ...]]:
    """Returns every combination of the axes' texts, under each of the sets of overrides, as overrides.

    Raises ConfigError C05 for a range, whose values are unlimited.
    """
    searched = [axis.key for axis in axes if axis.range is not None]
    if searched:
        raise ConfigError(
            f"{searched[0]} is a range, but a grid needs values", code="C05", hint="--trials 20"
        )
    texts = [[f"{axis.key}={text}" for text in axis.values] for axis in axes]
    return [(*given, *combined) for given in (config_sets or [()]) for combined in product(*texts)]


def as_overrides(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns suggested values as overrides."""
    return tuple(
        f"{key}={value}" if isinstance(value, str) else f"{key}={json.dumps(value)}"
        for key, value in values.items()
    )


def find_changes(trials: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Returns for each trial the overrides that differ between trials."""
    common = set(trials[0]).intersection(*trials[1:]) if len(trials) > 1 else set()
    return [tuple(override for override in trial if override not in common) for trial in trials]
