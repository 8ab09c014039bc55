"""OpenSet: options of plugins that predict a special class for rows of none of the other classes."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from kit.core.arrays import Targets
from kit.errors import ConfigError
from kit.kinds.plugin import Plugin, bound_field
from kit.kinds.prediction import Metric

THRESHOLDS_TRIED = 41  # number of quantiles of the compared values


class OpenSet(Plugin):
    """A threshold below which a row gets the class `label`: given, fitted, or set by an expected share of the rows.

    A plugin also has the option `threshold`, with limits that depend on the compared value.
    """

    label: str = Field("new", description="class that means none of the others")
    unknown_rate: float | None = Field(
        None, gt=0, lt=1, description="expected fraction of rows of the label, instead of a threshold"
    )
    metric: Metric | None = Field(None, description="metric to optimise; null: the competition's")

    names: tuple[str, ...] = bound_field()

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if getattr(self, "threshold", None) is not None and self.unknown_rate is not None:
            raise ValueError("either threshold or unknown_rate")
        return self

    def label_number(self, classes: int) -> int:
        """Returns the label's class number; without class names it is the last.

        Raises ConfigError C29 if the class does not exist.
        """
        names = self.names or (*map(str, range(classes - 1)), self.label)
        if self.label not in names:
            raise ConfigError(
                f"{self.kind} {self.plugin_name()!r} predicts {self.label!r}, which is not a class of the table",
                code="C29",
                hint=f"{self.option_hint(label='CLASS')}, or data.unknown_class if no training row has it",
            )
        return names.index(self.label)

    def thresholds_to_try(self, values: np.ndarray, truth: Targets, number: int) -> np.ndarray:
        """Returns quantiles of the compared values (N,). Raises ConfigError C29 if no row is of the class `number`."""
        if not (truth == number).any():
            raise ConfigError(
                f"no training row is of class {self.label!r}, so no threshold can be fitted",
                code="C29",
                hint=f"{self.option_hint(unknown_rate=0.1)}, with the fraction of the test rows that you expect",
            )
        return np.unique(np.quantile(values, np.linspace(0, 1, THRESHOLDS_TRIED)))

    def option_hint(self, **options: float | str) -> str:
        """Returns how a message writes options of this plugin."""
        return " ".join(f"{self.kind}.{key}={value}" for key, value in options.items())
