"""OpenSet: options of plugins that predict a class for rows that are of none of the other classes."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from kit.core.arrays import Targets
from kit.errors import ConfigError
from kit.kinds.plugin import Plugin, bound_field
from kit.kinds.prediction import Metric

THRESHOLDS_TRIED = 41  # quantiles of what is compared with a threshold


class OpenSet(Plugin):
    """A threshold below which a row has the class `label`: given, fitted, or by an expected share of the rows.

    A plugin of a kind has the option `threshold` besides, whose limits depend on what it compares.
    """

    label: str = Field("new", description="the class that stands for none of the others")
    unknown_rate: float | None = Field(
        None, gt=0, lt=1, description="expected fraction of rows of the label, instead of a threshold"
    )
    metric: Metric | None = Field(
        None, description="what is made best; where none is named, the competition's"
    )

    names: tuple[str, ...] = bound_field()

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if getattr(self, "threshold", None) is not None and self.unknown_rate is not None:
            raise ValueError("either threshold or unknown_rate")
        return self

    def label_number(self, classes: int) -> int:
        """The label's class number; without names of classes it is the last. Raises ConfigError C29 for no class."""
        names = self.names or (*map(str, range(classes - 1)), self.label)
        if self.label not in names:
            raise ConfigError(
                f"{self.kind} {self.plugin_name()!r} predicts {self.label!r}, which is not a class of the table",
                code="C29",
                hint=f"{self.option_hint(label='CLASS')}, or data.unknown_class if no training row has it",
            )
        return names.index(self.label)

    def thresholds_to_try(self, values: np.ndarray, truth: Targets, number: int) -> np.ndarray:
        """Quantiles of what rows (N,) are compared by. Raises ConfigError C29 if no row is of the class `number`."""
        if not (truth == number).any():
            raise ConfigError(
                f"no training row is of class {self.label!r}, so no threshold can be fitted",
                code="C29",
                hint=f"{self.option_hint(unknown_rate=0.1)}, with the fraction of the test rows that you expect",
            )
        return np.unique(np.quantile(values, np.linspace(0, 1, THRESHOLDS_TRIED)))

    def option_hint(self, **options: float | str) -> str:
        """How a message writes options of this plugin."""
        return " ".join(f"{self.kind}.{key}={value}" for key, value in options.items())
