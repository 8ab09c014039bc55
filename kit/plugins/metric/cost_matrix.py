"""Cost matrix: the cost of each wrong class, by pairs of classes in a CSV."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from kit.data.csv_file import CsvFile, is_number, read_csv
from kit.errors import Case, ConfigError, did_you_mean
from kit.kinds.score_context import Wanted
from kit.plugins.metric._decisions import DecisionMetric

LONG = ("true", "predicted", "cost")  # the columns of a file with a row for each pair
Pairs = Mapping[tuple[str, str], float]


class CostMatrix(DecisionMetric):
    """Mean cost of the most probable class, by a CSV of true and predicted classes; 0 is best.

    The file has the columns true, predicted and cost, or a row for each true class and a column for each
    predicted one. With `by=superclasses` it lists pairs of `data.superclasses`, such as venomous and
    harmless. The right class then costs 0. Without a file, each wrong class costs 1.

    `over` is the divisor of the summed costs: all rows, the rows of classes that can cost anything, or
    nothing. If no row can cost anything, the cost is 0. With `complement`, the score is 1 - cost, and higher
    is better.

    Source: TissueNet (`complement`), SnakeCLEF 2023 (`by=superclasses`, `over=total`), FungiCLEF 2023.
    """

    file: str | None = Field(None, description="CSV of costs, relative to the workspace")
    by: Literal["classes", "superclasses"] = Field(
        "classes", description="unit of the file's pairs: classes or superclasses"
    )
    over: Literal["rows", "costly", "total"] = Field(
        "rows", description="mean over all rows, mean over rows of classes with a cost, or sum"
    )
    complement: bool = Field(False, description="score 1 - cost, so that higher is better")

    @property
    def wants(self) -> tuple[Wanted, ...]:  # type: ignore[override]
        """The groups of classes, only if the file lists pairs of them."""
        return ("classes", "superclasses") if self.by == "superclasses" else ("classes",)

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """True only with `complement`."""
        return self.complement

    @property
    def limits(self) -> tuple[float, float]:  # type: ignore[override]
        """The limits; costs have no upper one."""
        return (-math.inf, 1.0) if self.complement else (0.0, math.inf)

    def check_context(self) -> None:
        if self.file is not None:
            _read(self._path(self.file), self._names(self.by))

    def input_files(self) -> tuple[Path, ...]:
        return () if self.file is None else (self._path(self.file),)

    def of_confusion(self, counts: np.ndarray) -> float:
        costs = self.costs(len(counts))
        total = float((costs * counts).sum())
        rows = counts.sum(axis=1)
        divisor = {"rows": rows.sum(), "costly": rows[costs.any(axis=1)].sum(), "total": 1}[self.over]
        cost = total / float(divisor) if divisor else 0.0
        return 1 - cost if self.complement else cost

    def costs(self, classes: int) -> np.ndarray:
        """Returns the cost of each true class (a row) predicted as each class, float64 (K, K)."""
        if self.file is None:
            return 1 - np.eye(classes)
        matrix = _matrix(self._path(self.file), self._names(self.by), self._stamp(self.file))
        if self.by == "superclasses":
            groups = self.context.superclasses
            places = np.array([self._names("superclasses").index(name) for name in groups])
            matrix = matrix[np.ix_(places, places)]
            np.fill_diagonal(matrix, 0)
        return matrix

    def _names(self, by: str) -> tuple[str, ...]:
        return self.context.classes if by == "classes" else tuple(dict.fromkeys(self.context.superclasses))

    def _path(self, file: str) -> Path:
        return (self.home or Path()) / Path(file).expanduser()

    def _stamp(self, file: str) -> int:
        return self._path(file).stat().st_mtime_ns


@lru_cache(maxsize=8)
def _cached_matrix(path: Path, names: tuple[str, ...], stamp: int) -> np.ndarray:
    pairs = _read(path, names)
    return np.array([[pairs[true, predicted] for predicted in names] for true in names], dtype=np.float64)


def _matrix(path: Path, names: tuple[str, ...], stamp: int) -> np.ndarray:
    """Returns the file's costs in the order of `names`, (K, K), read once for each of its states."""
    return _cached_matrix(path, names, stamp).copy()


def _read(path: Path, names: Sequence[str]) -> Pairs:
    """Returns the cost of each pair of true and predicted names.

    Raises DataError if the file is not a table, ConfigError C47 for unknown names, missing or duplicate
    pairs, and cells that are not a cost.
    """
    file = read_csv(path)
    cells = _long(file) if tuple(name.strip().lower() for name in file.columns) == LONG else _wide(file)
    known = set(names)
    unknown = [name for true, predicted, _, _ in cells for name in (true, predicted) if name not in known]
    if unknown:
        raise ConfigError(
            f"{path.name}: {unknown[0]!r} is not a name of the table{did_you_mean(unknown[0], names)}",
            code="C47",
            hint=f"the names: {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}",
        )
    wrong = [
        Case(
            f"the cost of {true!r} as {predicted!r} is {cell!r}, not a number of 0 or more",
            f"{path.name}:{line}",
        )
        for true, predicted, cell, line in cells
        if not (is_number(cell) and 0 <= float(cell) < math.inf)
    ]
    if wrong:
        raise ConfigError(f"{path.name}: {len(wrong)} cells are no cost", code="C47", cases=wrong)
    pairs = {(true, predicted): float(cell) for true, predicted, cell, _ in cells}
    if len(pairs) < len(cells):
        raise ConfigError(f"{path.name} lists {len(cells) - len(pairs)} pairs twice", code="C47")
    _check_complete(path, pairs, names)
    return pairs


def _check_complete(path: Path, pairs: Pairs, names: Sequence[str]) -> None:
    missing = [
        Case(f"no cost of {true!r} predicted as {predicted!r}", path.name)
        for true in names
        for predicted in names
        if (true, predicted) not in pairs
    ]
    if missing:
        raise ConfigError(
            f"{path.name} has no cost for {len(missing)} of {len(names) ** 2} pairs of names",
            code="C47",
            cases=missing,
            hint="list each pair of a true and a predicted name, the right ones with cost 0",
        )


Cell = tuple[str, str, str, int]  # true and predicted name, cost, line


def _long(file: CsvFile) -> list[Cell]:
    return [(row[0], row[1], row[2], line) for row, line in zip(file.rows, file.lines, strict=True)]


def _wide(file: CsvFile) -> list[Cell]:
    return [
        (row[0], predicted, cell, line)
        for row, line in zip(file.rows, file.lines, strict=True)
        for predicted, cell in zip(file.columns[1:], row[1:], strict=True)
    ]
