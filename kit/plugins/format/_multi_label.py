"""The base of formats with several labels per row: the labels that `decision` in config.json assigns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from kit.kinds import Format


class MultiLabelFormat(Format):
    """Formats whose rows get the labels of the competition's decision rule."""

    label_kinds = ("multi_hot",)
    holds_decisions: ClassVar[bool] = True
    replaced_options: ClassVar[Mapping[str, str]] = {
        "threshold": "decision.threshold",
        "at_least_one": "decision.min_labels",
    }

    def output_of(self, probabilities: np.ndarray) -> np.ndarray:
        return self.decision.assign_labels(probabilities).astype(np.float64)
