"""What formats of several labels a row share: the labels that `decision` in config.json gives a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from kit.kinds import Format


class MultiLabelFormat(Format):
    """Rows are given the labels that the competition's decision rule gives them."""

    label_kinds = ("multi_hot",)
    holds_decisions: ClassVar[bool] = True
    replaced_options: ClassVar[Mapping[str, str]] = {
        "threshold": "decision.threshold",
        "at_least_one": "decision.min_labels",
    }

    def output_of(self, probabilities: np.ndarray) -> np.ndarray:
        return self.decision.assign_labels(probabilities).astype(np.float64)
