"""Column encoder: side columns as numbers for a network, fitted on the training rows of a fold and stored with it.

    number             scaled to mean 0 and deviation 1 of the training rows, at most MAX_SCALED
    category           one-hot; rare values share one position, and a value without training rows is all zeros
    angle, longitude   sine and cosine of degrees; latitude likewise
    date               the scaled day, and the sine and cosine of the day in the year

A flag after each column's values marks a missing cell. Its values are then 0, which is a number's mean. No
cell of a row to predict is an error.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from kit.core.files import fingerprint
from kit.data.side_columns import (
    DAYS_PER_YEAR,
    KINDS,
    MAX_CATEGORIES,
    ColumnKind,
    guess_kind,
    is_blank,
    parse_numbers,
    read_cells,
)
from kit.errors import MAX_CASES, Case, ConfigError, DataError, KitWarning
from kit.kinds.network import ColumnLayout, ColumnSpan

if TYPE_CHECKING:
    from kit.config.models import Data
    from kit.data.table import Table

MAX_SCALED = 10.0  # maximum deviations from the mean, so that one outlier cannot decide the prediction
RARE_ROWS = 3  # categories with fewer training rows count as rare: too few to learn from
MAX_UNIQUE_SHARE = 0.9  # maximum share of distinct cells in a category; a larger share names each row
MIN_UNIQUE_ROWS = 20  # fewer rows may all differ by chance
MOSTLY = 0.9  # share of cells that are numbers, from which the others are faults instead of categories
# number of values of a column in a row, and which of them are scaled, by kind; a category has one, its code
FIELDS: Mapping[str, int] = {"number": 1, "category": 1, "angle": 2, "latitude": 2, "longitude": 2, "date": 3}
SCALED = ("number", "date")


@dataclass(frozen=True)
class FittedColumn:
    """The statistics of a column over the training rows of a fold."""

    name: str
    kind: ColumnKind
    mean: float = 0.0
    deviation: float = 0.0  # 0: constant, and then every value is 0
    values: tuple[str, ...] = ()  # the categories with their own position
    has_rare: bool = False  # the others share a position
    has_flag: bool = False  # training has a missing cell

    @property
    def width(self) -> int:
        """Values of a row, without the flag."""
        return len(self.values) + self.has_rare if self.kind == "category" else FIELDS[self.kind]

    def encode(self, cells: Sequence[str]) -> np.ndarray:
        """Returns fields (rows, FIELDS) float32 of text cells: NaN if missing.

        A category is its position, -1 if it was not seen.
        """
        if self.kind == "category":
            places = {value: index for index, value in enumerate(self.values)}
            other = len(self.values) if self.has_rare else -1
            codes = [np.nan if is_blank(cell) else places.get(cell, other) for cell in cells]
            return np.array(codes, np.float32).reshape(-1, 1)
        values = parse_numbers(cells, self.kind)
        values[~np.isfinite(values)] = np.nan
        parts = []
        if self.kind in SCALED:
            scaled = (values - self.mean) / self.deviation if self.deviation else values * 0
            parts.append(np.clip(scaled, -MAX_SCALED, MAX_SCALED))
        if self.kind != "number":
            turns = 2 * np.pi * values / (DAYS_PER_YEAR if self.kind == "date" else 360)
            parts += [np.sin(turns), np.cos(turns)]
        return np.stack(parts, axis=1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class SideValues:
    """The encoded side columns of a table's rows; `fields` (rows, F) has one code per category."""

    encoder: ColumnEncoder
    fields: np.ndarray

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Returns side values (N, W) float32 of rows of the table."""
        fields, layout = self.fields[rows], self.encoder.layout
        values, first = np.zeros((len(rows), layout.width), np.float32), 0
        for column, span in zip(self.encoder.columns, layout.spans, strict=True):
            part = fields[:, first : first + FIELDS[column.kind]]
            missing = np.isnan(part[:, 0])
            if column.kind == "category":
                known = np.flatnonzero(~missing & (part[:, 0] >= 0))
                values[known, span.start + part[known, 0].astype(np.int64)] = 1
            else:
                values[:, span.start : span.stop] = np.nan_to_num(part)
            values[:, span.flag] = missing & column.has_flag
            first += FIELDS[column.kind]
        return values

    def join(self, other: SideValues) -> SideValues:
        """Returns the rows of both, one after the other."""
        return SideValues(self.encoder, np.concatenate([self.fields, other.fields]))


@dataclass(frozen=True)
class ColumnEncoder:
    """The fitted columns, in the order of `data.columns`."""

    columns: tuple[FittedColumn, ...]

    @classmethod
    def fit(
        cls,
        table: Table,
        rows: np.ndarray,
        names: Sequence[str],
        kinds: Mapping[str, ColumnKind],
        learns_missing: bool,
    ) -> Self:
        """Fits on `rows` of the training table. Kinds that are not given are read from all its cells.

        With `learns_missing` training makes cells missing, so that each column has its flag. Raises
        ConfigError C07, DataError D31.
        """
        encodings = []
        for name in names:
            cells = read_cells(table, name, "train")
            kind = kinds.get(name) or guess_kind(cells)
            encodings.append(_fit(name, kind, [cells[row] for row in rows.tolist()], learns_missing))
        return cls(tuple(encodings))

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    @property
    def layout(self) -> ColumnLayout:
        """The position of each column in a row of side values."""
        spans, start = [], 0
        for column in self.columns:
            stop = start + column.width
            spans.append(ColumnSpan(column.name, column.kind, start, stop, column.has_flag))
            start = stop + 1
        return ColumnLayout(tuple(spans))

    def encode(self, table: Table, split: str) -> SideValues:
        """Encodes the columns of a table's rows. A cell of another kind is missing, and W87 counts such cells.

        Raises ConfigError C07 if the table lacks a column.
        """
        parts, odd = [np.zeros((len(table), 0), np.float32)], []
        for column in self.columns if len(table) else ():
            cells = read_cells(table, column.name, split)
            part = column.encode(cells)
            if column.kind != "category":
                wrong = np.isnan(part[:, 0]) & ~np.array([is_blank(cell) for cell in cells], bool)
                odd += [f"{column.name} {wrong.sum()}"] if wrong.any() else []
            parts.append(part)
        if odd:
            text = f"W87 cells of {split} rows that are no number, angle or date count as missing: {', '.join(odd)}"
            warnings.warn(KitWarning(text), stacklevel=2)
        fields = np.concatenate(parts, axis=1)
        if not len(table):
            fields = np.zeros((0, sum(FIELDS[column.kind] for column in self.columns)), np.float32)
        return SideValues(self, fields)

    def to_json(self) -> list[dict[str, Any]]:
        """Returns JSON values, an object per column."""
        return [{**asdict(column), "values": list(column.values)} for column in self.columns]

    @classmethod
    def from_json(cls, records: Sequence[Mapping[str, Any]]) -> Self:
        """Reads the values of `to_json`. Raises KeyError, TypeError or ValueError for values of another form."""
        columns = []
        for record in records:
            kind, mean, deviation = record["kind"], float(record["mean"]), float(record["deviation"])
            if kind not in KINDS or not np.isfinite([mean, deviation]).all():
                raise ValueError(f"a column of kind {kind!r}")
            columns.append(
                FittedColumn(
                    str(record["name"]),
                    kind,
                    mean,
                    deviation,
                    tuple(map(str, record["values"])),
                    bool(record["has_rare"]),
                    bool(record["has_flag"]),
                )
            )
        return cls(tuple(columns))


def _fit(name: str, kind: ColumnKind, cells: Sequence[str], learns_missing: bool) -> FittedColumn:
    known = [cell for cell in cells if not is_blank(cell)]
    has_flag = learns_missing or len(known) < len(cells)
    if kind == "category":
        counts = pd.Series(known, dtype=str).value_counts()
        ordered = sorted(counts.index, key=lambda value: (-counts[value], value))
        often = [value for value in ordered if counts[value] >= RARE_ROWS][:MAX_CATEGORIES]
        return FittedColumn(
            name, kind, values=tuple(sorted(often)), has_rare=len(often) < len(ordered), has_flag=has_flag
        )
    mean, deviation = 0.0, 0.0
    if kind in SCALED and known:
        values = parse_numbers(known, kind)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, deviation = float(values.mean()), float(values.std())
        if not np.isfinite([mean, deviation]).all():
            raise _bad_cells(name, kind, [Case(f"has {cell!r}") for cell in known[:MAX_CASES]])
        # the deviation of a constant such as 0.1 is its rounding
        deviation = deviation if deviation > 1e-9 * abs(mean) else 0.0
    return FittedColumn(name, kind, mean, deviation, has_flag=has_flag)


def _bad_cells(name: str, kind: str, cases: Sequence[Case]) -> DataError:
    return DataError(
        f"column {name!r}: cells are no finite {kind}",
        code="D31",
        cases=cases,
        hint=f'data.column_kinds={{"{name}":"category"}}, correct the cells, or empty them',
    )


def columns_digest(table: Table, names: Sequence[str], split: str) -> str:
    """Returns 64 hex digits of the cells of side columns, in the order of the rows; empty without columns or rows."""
    if not names or not len(table):
        return ""
    return fingerprint([[name, read_cells(table, name, split)] for name in names])


def check_columns(train: Table, test: Table | None, data: Data) -> None:
    """Checks the side columns before anything is trained, and warns (W88) of constant ones.

    Raises ConfigError C07 if a table lacks a column, C86 if no column is named or if the id or the label is
    one of them. Raises DataError D31 if a cell is not a finite number, D91 if a text column names each row.
    """
    if not data.columns:
        raise ConfigError(
            "`columns` joins side columns with the image, and data.columns names none",
            code="C86",
            hint='data.columns=["age","site"], or columns=null; kit check lists useful columns (K46)',
        )
    for role, own in (("id", data.id), ("label", data.label)):
        if own in data.columns:
            raise ConfigError(
                f"data.columns names {own!r}, which is the {role}",
                code="C86",
                hint="leave it out of data.columns",
            )
    constant = []
    for name in data.columns:
        cells = read_cells(train, name, "train")
        if test is not None and len(test):
            read_cells(test, name, "test")
        _check_cells(train, name, cells, data.column_kinds.get(name))
        different = {cell for cell in cells if not is_blank(cell)}
        if len(different) < 2:
            constant.append(
                f"{name} ({'always ' + repr(different.pop()) if different else 'all cells are empty'})"
            )
    if constant:
        text = f"W88 side columns tell rows apart only by empty cells, or not at all: {', '.join(constant)}"
        warnings.warn(KitWarning(text), stacklevel=2)


def _check_cells(table: Table, name: str, cells: Sequence[str], given_kind: ColumnKind | None) -> None:
    kind = given_kind or guess_kind(cells)
    known = [row for row, cell in enumerate(cells) if not is_blank(cell)]
    if kind == "category":
        numbers = np.isfinite(parse_numbers([cells[row] for row in known], "number"))
        if given_kind is None and len(known) and numbers.mean() >= MOSTLY:
            wrong = [row for row, good in zip(known, numbers, strict=True) if not good]
            raise _bad_cells(
                name, "number", [Case(f"has {cells[row]!r}", id=str(table.ids[row])) for row in wrong]
            )
        different = {cells[row] for row in known}
        if len(known) >= MIN_UNIQUE_ROWS and len(different) > MAX_UNIQUE_SHARE * len(known):
            raise DataError(
                f"column {name!r} has {len(different)} different texts in {len(known)} rows, like a name of each row",
                code="D91",
                cases=[Case(f"has {cells[row]!r}", id=str(table.ids[row])) for row in known[:3]],
                hint="leave it out of data.columns",
            )
        return
    bad = [row for row in known if not np.isfinite(parse_numbers([cells[row]], kind))[0]]
    if bad:
        raise _bad_cells(name, kind, [Case(f"has {cells[row]!r}", id=str(table.ids[row])) for row in bad])
