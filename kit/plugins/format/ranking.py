"""Ranking: the most probable labels, one row each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from kit.data.predictions import Predictions
from kit.errors import ConfigError
from kit.kinds import Format
from kit.plugins.format._cells import doubles, no_classes
from kit.plugins.format._numbers import are_shares, text


class Ranking(Format):
    """Several rows per id, each with one of its most probable labels, the best first.

    The table may have columns of the rank (from 0 or from 1) and of the probability. The sample shows how
    many rows an id has. Raises ConfigError for more rows per id than classes.

    Source: for example Airbnb New User Bookings' `id,country` with up to five rows an id, and PlantCLEF's
    `ObservationId;ClassId;Probability;Rank`.
    """

    label_kinds = ("class_index", "multi_hot")
    several_rows: ClassVar[bool] = True

    def matches(self, sample: pd.DataFrame, classes: Sequence[str]) -> bool:
        shape = _shape(sample, classes)
        if shape is None or (shape.rank is None and shape.share is not None and shape.rows == len(classes)):
            return False  # all classes with their probabilities are `long`
        return shape.rows > 1 or "rank" in str(shape.rank).lower()

    def check_rows(
        self, table: pd.DataFrame, sample: pd.DataFrame, classes: Sequence[str]
    ) -> list[tuple[int, str]] | None:
        shape = _shape(sample, classes)
        if shape is None or len(table) % shape.rows:
            return None
        labels = table[shape.label].tolist()
        faults = no_classes([[label] for label in labels], classes)
        blocks = [labels[start : start + shape.rows] for start in range(0, len(labels), shape.rows)]
        faults += [(block * shape.rows, why) for block, why in doubles(blocks)]
        if shape.rank is not None:
            wanted = shape.ranks(len(table))
            ranks = zip(table[shape.rank].tolist(), wanted, strict=True)
            faults += [
                (row, f"rank {rank!r} where {right} belongs")
                for row, (rank, right) in enumerate(ranks)
                if rank != right
            ]
        return faults

    def write(self, predictions: Predictions, sample: pd.DataFrame) -> pd.DataFrame:
        classes = predictions.classes
        shape = _shape(sample, classes)
        if shape is None or shape.rows > len(classes):
            rows = (
                "other columns than a label, a rank and a probability"
                if shape is None
                else f"{shape.rows} rows"
            )
            raise ConfigError(f"the sample has {rows} an id, of {len(classes)} classes", code="C21")
        ids = sample.iloc[:: shape.rows, 0].tolist()
        shares = predictions.align(ids)
        best = np.argsort(-shares, axis=1, kind="stable")[:, : shape.rows]
        columns: dict[str, Any] = {sample.columns[0]: sample.iloc[:, 0]}
        columns[shape.label] = np.asarray(classes, dtype=object)[best].ravel()
        if shape.rank is not None:
            columns[shape.rank] = shape.ranks(len(sample))
        if shape.share is not None:
            columns[shape.share] = text(np.take_along_axis(shares, best, axis=1).ravel())
        return pd.DataFrame(columns)[list(sample.columns)]


@dataclass(frozen=True)
class _Shape:
    """The meaning of each column of a sample, by name, and the number of rows per id."""

    rows: int
    label: str
    rank: str | None
    share: str | None
    first: int  # the best one's rank

    def ranks(self, count: int) -> list[str]:
        """Returns the rank of every row."""
        return [str(self.first + row % self.rows) for row in range(count)]


def _shape(sample: pd.DataFrame, classes: Sequence[str]) -> _Shape | None:
    """Returns how a sample is a ranking, if exactly one reading is possible; else None."""
    rows = _rows_an_id(sample.iloc[:, 0].tolist())
    if not rows or not 2 <= sample.shape[1] <= 4:
        return None
    shapes = []
    for label in sample.columns[1:]:
        labels = sample[label].tolist()
        blocks = [set(labels[start : start + rows]) for start in range(0, len(labels), rows)]
        if set(labels) <= set(classes) and all(len(block) == rows for block in blocks):
            shapes += _with_rest(sample, rows, label)
    ranked = [shape for shape in shapes if shape.rank is not None]
    named_rank = [shape for shape in ranked if "rank" in str(shape.rank).lower()]
    likely = named_rank or ranked or shapes
    return likely[0] if len(likely) == 1 else None


def _rows_an_id(ids: Sequence[str]) -> int:
    """Returns how many consecutive rows each id has; 0 if the numbers differ."""
    rows = next((row for row, name in enumerate(ids) if name != ids[0]), len(ids))
    firsts = ids[::rows] if rows else []
    equal = list(ids) == [name for name in firsts for _ in range(rows)]
    return rows if equal and len(set(firsts)) == len(firsts) else 0


def _with_rest(sample: pd.DataFrame, rows: int, label: str) -> list[_Shape]:
    """Returns the ways to read the columns beside the label's as a rank, a probability, or both."""
    rest = [name for name in sample.columns[1:] if name != label]
    shapes_with_rest = []
    for rank in (None, *rest):
        shares = [name for name in rest if name != rank]
        if len(shares) > 1 or not all(are_shares(sample[name].tolist()) for name in shares):
            continue
        shapes = [_Shape(rows, label, rank, next(iter(shares), None), first) for first in (0, 1)]
        if rank is None:
            shapes_with_rest.append(shapes[0])
        else:
            shapes_with_rest += [
                shape for shape in shapes if sample[rank].tolist() == shape.ranks(len(sample))
            ]
    return shapes_with_rest
