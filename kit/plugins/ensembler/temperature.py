"""Temperature: calibrates the confidence of each member, then blends by another ensembler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Probabilities, Targets
from kit.errors import ConfigError
from kit.kinds import Ensembler
from kit.plugins.ensembler._stacked import softmax
from kit.plugins.ensembler.mean import Mean

MIN_PROBABILITY = 1e-7  # smaller probabilities count as this one
RANGE = (0.05, 20.0)  # of a temperature
SEARCH_TOLERANCE = 1e-10


class Temperature(Ensembler):
    """Calibrates each member by a temperature, softmax(log p / T) with the lowest log loss, then blends by `base`.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2; the best 1 / T is found by
    Newton's method, since log loss is convex in it.
    """

    fitted: ClassVar[bool] = True

    base: Ensembler = Field(Mean(), description="ensembler of the calibrated members")
    temperatures: tuple[float, ...] = Field(
        (),
        description="fitted, do not set: one temperature per member; above 1, predictions become less confident",
    )

    def fit(self, members: Probabilities, truth: Targets) -> Self:
        temperatures = tuple(best_temperature(member, truth) for member in members)
        base = self.base.fit(_calibrate(members, temperatures), truth)
        return self.model_copy(update={"temperatures": temperatures, "base": base})

    def blend(self, members: Probabilities) -> Probabilities:
        if self.temperatures and len(self.temperatures) != len(members):
            text = f"{len(self.temperatures)} temperatures for {len(members)} members"
            raise ConfigError(text, code="C21")
        return self.base.blend(_calibrate(members, self.temperatures or (1.0,) * len(members)))

    def find_used(self, count: int) -> tuple[int, ...]:
        return self.base.find_used(count)

    def restrict(self, places: Sequence[int]) -> Self:
        temperatures = tuple(self.temperatures[index] for index in places) if self.temperatures else ()
        return self.model_copy(update={"temperatures": temperatures, "base": self.base.restrict(places)})


def _calibrate(members: Probabilities, temperatures: tuple[float, ...]) -> np.ndarray:
    """Returns the members (M, N, K) at these temperatures, in their own precision."""
    calibrated = np.empty_like(members)
    for index, temperature in enumerate(temperatures):
        calibrated[index] = softmax(
            np.log(np.maximum(members[index].astype(np.float64), MIN_PROBABILITY)) / temperature
        )
    return calibrated


def best_temperature(member: np.ndarray, truth: Targets) -> float:
    """Returns the temperature with the lowest log loss, within RANGE, of probabilities (N, K) and class
    numbers (N,).
    """
    logits = np.log(np.maximum(member.astype(np.float64), MIN_PROBABILITY))
    true = logits[np.arange(len(truth)), truth]
    inverse, low, high = 1.0, 1 / RANGE[1], 1 / RANGE[0]
    for _ in range(100):
        shares = softmax(logits * inverse)
        means = (shares * logits).sum(axis=1)
        slope = (means - true).mean()
        bend = (shares * logits**2).sum(axis=1).mean() - (means**2).mean()
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        step = inverse - slope / bend if bend > 0 else inverse
        moved = (
            step if low < step < high else (low + high) / 2
        )  # outside the bracket Newton's step is not trusted
        if abs(moved - inverse) < SEARCH_TOLERANCE:
            break
        inverse = moved
    return float(1 / inverse)
