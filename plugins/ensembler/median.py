"""The median over members: one outlying member does not move the blend.

kit blend runs/a@d4 runs/b@d4 runs/c@d4 --ensembler median

Source: the sample median of each class's probability, scaled to sum 1 per row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.kinds import Ensembler


class Median(Ensembler):
    """The median over members of each class's probability, scaled to sum 1 per row."""

    label_kinds = ("class_index", "multi_hot", "numbers", "soft")

    def blend(self, members: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        # members that disagree completely can leave a row of zeros
        middle = np.median(members, axis=0).clip(1e-12)
        return self.normalise(middle)
