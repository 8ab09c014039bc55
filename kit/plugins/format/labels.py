"""Labels: any number of labels in one cell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import Field

from kit.data.predictions import Predictions
from kit.plugins.format._cells import doubles, no_classes
from kit.plugins.format._multi_label import MultiLabelFormat

SEPARATORS = (" ", ", ", ",", "; ", ";", "|", "/", "+", "_")


class Labels(MultiLabelFormat):
    """One column with each row's predicted labels, separated as in the sample.

    `decision` in config.json assigns them: its threshold, and the minimum number of labels per row. Their
    order is that of the classes, or the most probable first if the sample shows another order. If all cells
    of the sample are in brackets, such as `[3, 7]`, the written cells are too.

    Source: for example Human Protein Atlas's sample submission, `Id,Predicted`, and Plant Pathology 2021's,
    `image,labels`.
    """

    separator: str | None = Field(
        None,
        min_length=1,
        description="separator between labels; by default that of the sample, otherwise a space",
    )

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        return sample.shape[1] == 2 and len(sample) > 0 and self._find_style(sample, classes) is not None

    def empty_cells(self) -> tuple[str, ...]:
        return () if self.decision.min_labels else ("",)

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]]:
        style = self._find_style(sample, classes) or DEFAULT_STYLE
        bare = [
            (row, f"{cell!r} is not in brackets, as the sample's cells are")
            for row, cell in enumerate(table.iloc[:, 1])
            if not style.encloses(cell)
        ]
        rows = _cells(table, style)
        return [*bare, *no_classes(rows, classes), *doubles(rows)]

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        shares, classes = predictions.align(sample.iloc[:, 0]), predictions.classes
        style = self._find_style(sample, classes) or DEFAULT_STYLE
        rows = [np.flatnonzero(row) for row in self.decision.assign_labels(shares)]
        if not _in_class_order(_cells(sample, style), classes):
            rows = [
                row[np.argsort(-share[row], kind="stable")] for row, share in zip(rows, shares, strict=True)
            ]
        cells = [style.join(classes[number] for number in row) for row in rows]
        return pd.DataFrame({sample.columns[0]: sample.iloc[:, 0], sample.columns[1]: cells})

    def _find_style(self, sample: pd.DataFrame, classes: Sequence[str]) -> Style | None:
        """Returns the separator, and the brackets, by which all cells are different labels; None if there is none."""
        separators = SEPARATORS if self.separator is None else (self.separator,)
        styles = (Style(separator, brackets) for brackets in (False, True) for separator in separators)
        cells = sample.iloc[:, 1].tolist()
        return next(
            (
                style
                for style in styles
                if all(map(style.encloses, cells)) and _fits(_cells(sample, style), classes)
            ),
            None,
        )


@dataclass(frozen=True)
class Style:
    """How a cell joins labels: `a b`, or `[a, b]` with brackets."""

    separator: str
    brackets: bool = False

    def join(self, labels: Iterable[str]) -> str:
        """The cell of some labels."""
        text = self.separator.join(labels)
        return f"[{text}]" if self.brackets else text

    def encloses(self, cell: str) -> bool:
        """Whether a cell has brackets, if all cells must have them."""
        return not self.brackets or (cell[:1] == "[" and cell[-1:] == "]")

    def split(self, cell: str) -> list[str]:
        """The labels of a cell."""
        if self.brackets and self.encloses(cell):
            cell = cell[1:-1]
        return re.split(re.escape(self.separator), cell) if cell else []


DEFAULT_STYLE = Style(" ")


def _cells(table: pd.DataFrame, style: Style) -> list[list[str]]:
    return [style.split(cell) for cell in table.iloc[:, 1]]


def _fits(cells: Iterable[Sequence[str]], classes: Sequence[str]) -> bool:
    known = set(classes)
    return all(set(cell) <= known and len(set(cell)) == len(cell) for cell in cells)


def _in_class_order(cells: Iterable[Sequence[str]], classes: Sequence[str]) -> bool:
    number_of = {name: number for number, name in enumerate(classes)}
    numbers = [[number_of[label] for label in cell] for cell in cells]
    return all(row == sorted(row) for row in numbers)
