"""Unknown: a class for rows that are like nothing in the gallery."""

from __future__ import annotations

import json
from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from kit.core.arrays import Targets
from kit.errors import ConfigError
from kit.kinds import Metric, RetrievedNeighbours, Scorer, bound_field
from kit.plugins.scorer._scores import best_by_class, best_of, normalise_rows, raise_to_power

THRESHOLDS_TRIED = 41  # thresholds, quantiles of the best similarities


class Unknown(Scorer):
    """The largest cos^power of each class, and threshold^power for the class that means "none of the others".

    A row whose nearest image is less similar than the threshold is answered with `label`; in a ranked answer the label
    stands between the classes that are more similar and those that are less. The threshold is found on out-of-fold
    rows, or set so that `unknown_rate` of the rows to be answered lie below it. Rows of the label are in no gallery.

    Source: Happywhale 2022 (Whale and Dolphin Identification), where the threshold was bisected until 16.5 % of the
    test rows were new.
    """

    fitted: ClassVar[bool] = True

    label: str = Field("new", description="the class that stands for none of the others")
    threshold: float | None = Field(
        None, ge=-1, le=1, description="least similarity; fit finds it where none is given"
    )
    unknown_rate: float | None = Field(None, gt=0, lt=1, description="expected fraction of rows of the label")
    k: int = Field(50, ge=1, description="how many neighbours are looked at")
    power: float = Field(9.0, gt=0, le=1000, description="of similarities and threshold")
    metric: Metric | None = Field(
        None, description="what is made best; where none is named, the competition's"
    )

    names: tuple[str, ...] = bound_field()

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if self.threshold is not None and self.unknown_rate is not None:
            raise ValueError("either threshold or unknown_rate")
        return self

    def neighbours(self) -> int:
        return self.k

    def _with(self, **options: float) -> str:
        """Its JSON for the command line, with an option more."""
        return json.dumps({"name": self.plugin_name(), "label": self.label, **options}, ensure_ascii=False)

    def classes_to_ignore(self) -> tuple[str, ...]:
        return (self.label,)

    def fit(self, near: RetrievedNeighbours, truth: Targets) -> Self:
        if self.threshold is not None or self.unknown_rate is not None:
            return self
        best = near.similarities[:, 0]
        if not (truth == self._place(near)).any():
            raise ConfigError(
                f"no training row is of class {self.label!r}, so no threshold can be found on them",
                code="C29",
                hint=f"--scorer '{self._with(unknown_rate=0.1)}', with the fraction of the test rows that you expect",
            )
        values = np.unique(np.quantile(best, np.linspace(0, 1, THRESHOLDS_TRIED)).clip(-1, 1))
        tried = (self.model_copy(update={"threshold": float(value)}) for value in values)
        return best_of(tried, near, truth, self.metric)

    def score(self, near: RetrievedNeighbours) -> np.ndarray:
        seen = near.top_k(self.k)
        scores = best_by_class(seen, raise_to_power(seen, self.power))
        scores[:, self._place(near)] = max(self._least(near), 0.0) ** self.power
        return normalise_rows(scores)

    def _least(self, near: RetrievedNeighbours) -> float:
        """The similarity below which a row is of the label."""
        if self.unknown_rate is not None:
            return float(np.quantile(near.similarities[:, 0], self.unknown_rate))
        return 0.5 if self.threshold is None else self.threshold

    def _place(self, near: RetrievedNeighbours) -> int:
        """The label's class number. Raises ConfigError where the classes have no such label."""
        names = self.names or (*map(str, range(near.classes - 1)), self.label)
        if self.label not in names:
            raise ConfigError(
                f"scorer 'unknown' answers {self.label!r}, which is no class of the table",
                code="C29",
                hint='--scorer \'{"name": "unknown", "label": "CLASS"}\', or list it in data.class_list',
            )
        return names.index(self.label)
