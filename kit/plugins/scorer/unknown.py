"""Unknown: a class for rows that are not similar to anything in the gallery."""

from __future__ import annotations

import json
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from kit.core.arrays import Targets
from kit.kinds import RetrievedNeighbours, Scorer
from kit.kinds.open_set import OpenSet
from kit.plugins.scorer._scores import best_by_class, best_of, normalise_rows, raise_to_power


class Unknown(OpenSet, Scorer):
    """The largest cos^power of each class, and threshold^power for the class that means "none of the others".

    A row whose nearest image is less similar than the threshold is predicted as `label`. In a ranked answer
    the label stands between the classes that are more similar and those that are less. The threshold is
    fitted on out-of-fold rows, or set so that `unknown_rate` of the predicted rows lie below it. Rows of the
    label are in no gallery.

    Source: Happywhale 2022 (Whale and Dolphin Identification), where the threshold was bisected until 16.5 % of the
    test rows were new.
    """

    fitted: ClassVar[bool] = True

    threshold: float | None = Field(None, ge=-1, le=1, description="minimum similarity; null: fitted")
    k: int = Field(50, ge=1, description="number of neighbours")
    power: float = Field(9.0, gt=0, le=1000, description="exponent of similarities and threshold")

    def neighbours(self) -> int:
        return self.k

    def option_hint(self, **options: float | str) -> str:
        scorer_text = json.dumps(
            {"name": self.plugin_name(), "label": self.label, **options}, ensure_ascii=False
        )
        return f"--scorer '{scorer_text}'"

    def classes_to_ignore(self) -> tuple[str, ...]:
        return (self.label,)

    def fit(self, near: RetrievedNeighbours, truth: Targets) -> Self:
        if self.threshold is not None or self.unknown_rate is not None:
            return self
        best = near.similarities[:, 0]
        values = self.thresholds_to_try(best.clip(-1, 1), truth, self.label_number(near.classes))
        candidates = (self.model_copy(update={"threshold": float(value)}) for value in values)
        return best_of(candidates, near, truth, self.metric)

    def score(self, near: RetrievedNeighbours) -> np.ndarray:
        seen = near.top_k(self.k)
        scores = best_by_class(seen, raise_to_power(seen, self.power))
        scores[:, self.label_number(near.classes)] = max(self._least(near), 0.0) ** self.power
        return normalise_rows(scores)

    def _least(self, near: RetrievedNeighbours) -> float:
        """Returns the similarity below which a row has the label."""
        if self.unknown_rate is not None:
            return float(np.quantile(near.similarities[:, 0], self.unknown_rate))
        return 0.5 if self.threshold is None else self.threshold
