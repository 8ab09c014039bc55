"""Label confidence: the most probable label and its probability in one cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from pydantic import Field

from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.kinds import Format
from kit.plugins.format._cells import no_classes
from kit.plugins.format._numbers import are_shares, text


class LabelConfidence(Format):
    """One column with each row's most probable class and its probability, such as `137195 0.9`.

    An empty cell means no label. Raises ConfigError if no row reaches `min_confidence`.

    Source: for example the sample submission of Google Landmark Recognition 2020, `id,landmarks`; its metric
    is `gap`.
    """

    min_confidence: float = Field(
        0.0, ge=0, le=1, description="minimum probability of a label; rows below it have an empty cell"
    )

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        if sample.shape[1] != 2:
            return False
        rows, known = _rows(cell for cell in sample.iloc[:, 1] if cell), set(classes)
        if not rows or not all(label in known and are_shares([share]) for label, share in rows):
            return False
        return any(share not in known or share == label for label, share in rows)  # else two labels per row

    def empty_cells(self) -> tuple[str, ...]:
        return ("",)

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        filled = [(row, cell) for row, cell in enumerate(table.iloc[:, 1]) if cell]
        faults = []
        for (row, cell), (label, share) in zip(filled, _rows(cell for _, cell in filled), strict=True):
            if not label:
                faults.append((row, f"{cell!r} is not a label and a confidence, separated by a space"))
                continue
            faults += [(row, why) for _, why in no_classes([[label]], classes)]
            if not are_shares([share]):
                faults.append((row, f"confidence {share!r} is not a number from 0 to 1"))
        return faults

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        shares = predictions.align(sample.iloc[:, 0])
        best = shares.argmax(axis=1)
        highest = shares[np.arange(len(shares)), best].astype(np.float32)
        answered = highest >= np.float32(self.min_confidence)
        if not answered.any():
            raise ConfigError(
                f"no row has a probability of {self.min_confidence:g} or more, the highest is {highest.max():g}",
                code="C21",
                hint=f"format.min_confidence={highest.max() / 2:.3g}, or remove it",
            )
        cells = [
            f"{predictions.classes[number]} {share}" if has else ""
            for number, share, has in zip(best, text(highest), answered, strict=True)
        ]
        return pd.DataFrame({sample.columns[0]: sample.iloc[:, 0], sample.columns[1]: cells})


def _rows(cells: Iterable[str]) -> list[tuple[str, str]]:
    """Returns label and confidence of each cell. The label is empty if the cell has no space."""
    parts = (cell.rpartition(" ") for cell in cells)
    return [(label, share) for label, _, share in parts]
