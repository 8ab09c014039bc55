"""Tables whose rows hold the pixels: CSV and JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from kit.data.pixel_columns import MIN_SERIES
from kit.errors import DataError
from kit.plugins.reader._open_files import open_once
from kit.plugins.reader._records import unknown_key
from kit.plugins.reader._tables import Rows, TableReader, record_of_cells

if TYPE_CHECKING:
    from kit.kinds.reader import Record


class PixelTable(TableReader):
    """Pixels in the rows of a CSV or JSON file: a column per pixel, or cells of numbers.

    `train.csv::{index}` is a row by its number from 0, `test.csv::image_id/{id}` the row with this cell in a
    column.

    Source: pyarrow.csv for CSV, the json module of Python for JSON.
    """

    endings: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".json")
    sep: str = Field(",", min_length=1, max_length=2, description=r"field separator of a CSV; \t for tabs")
    encoding: str = Field("utf-8", description="encoding of a CSV")

    def rows(self, file: Path) -> Rows:
        sep = "\t" if self.sep == r"\t" or file.suffix == ".tsv" else self.sep
        return open_once(_OpenTable(self.columns, sep, self.encoding), file)


@dataclass(frozen=True)
class _OpenTable:
    """Opens a table; equal ones open a file once."""

    columns: tuple[str, ...]
    sep: str
    encoding: str

    def __call__(self, file: Path) -> Rows:
        try:
            if file.suffix.lower() == ".json":
                return JsonRows(_records(json.loads(file.read_bytes())), self.columns)
            return CsvRows(file, self.columns, self.sep, self.encoding)
        except DataError:
            raise
        except Exception as error:  # any error of the libraries
            text = (str(error) or type(error).__name__).splitlines()[0][:150]
            raise DataError(f"not a table: {text}", code="D05") from None


class CsvRows(Rows):
    """The rows of a CSV, in memory: pixels as numbers, other columns as text."""

    def __init__(self, file: Path, wanted: Sequence[str], sep: str, encoding: str) -> None:
        import pyarrow
        from pyarrow import csv as tables

        with file.open(encoding=encoding, errors="strict", newline="") as stream:
            names = next(csv.reader(stream, delimiter=sep), [])
        names[:1] = [names[0].removeprefix("\ufeff")] if names else []
        super().__init__(names, wanted)
        is_series = len(self.pixels) > 1 and any("*" in pattern for pattern in wanted or ("*",))
        texts = [name for name in names if not (is_series and name in set(self.pixels))]
        self.table = tables.read_csv(
            file,
            read_options=tables.ReadOptions(encoding=encoding),
            parse_options=tables.ParseOptions(delimiter=sep, newlines_in_values=True),
            convert_options=tables.ConvertOptions(
                column_types={name: pyarrow.string() for name in texts}, strings_can_be_null=False
            ),
        )
        self.values: np.ndarray | None = None
        if is_series:
            columns = [self.table[name].to_numpy() for name in self.pixels]
            self.values = np.ascontiguousarray(np.stack([_narrow(pattern) for pattern in columns], axis=1))
            self.table = self.table.drop_columns(list(self.pixels))

    def __len__(self) -> int:
        return int(self.table.num_rows) if self.values is None else len(self.values)

    def column(self, name: str) -> Sequence[str]:
        if name in self.pixels and self.values is not None:
            return [str(value) for value in self.values[:, self.pixels.index(name)]]
        cells: list[str] = self.table[name].to_pylist()
        return cells

    def cell(self, number: int, name: str) -> Any:
        return (
            self.table[name][number].as_py() if name in self.table.column_names else self.column(name)[number]
        )

    def record(self, number: int) -> Record:
        if self.values is not None:
            row: np.ndarray = self.values[number]
            return row
        if not self.pixels:
            raise DataError("no column of pixels: data.reader.columns names them", code="D15")
        return record_of_cells([self.table[name][number].as_py() for name in self.pixels])


class JsonRows(Rows):
    """The rows of a JSON file: a list of objects."""

    def __init__(self, records: Sequence[Mapping[str, Any]], wanted: Sequence[str]) -> None:
        names = tuple(records[0]) if records else ()
        super().__init__(names, wanted)
        lists = [name for name in names if _is_band(records[0][name])]
        self.pixels, self.records = self.pixels or tuple(lists), records

    def __len__(self) -> int:
        return len(self.records)

    def column(self, name: str) -> Sequence[str]:
        return [str(record.get(name, "")) for record in self.records]

    def cell(self, number: int, name: str) -> Any:
        return self.records[number].get(name, "")

    def record(self, number: int) -> Record:
        record = self.records[number]
        missing = [name for name in self.pixels if name not in record]
        if missing or not self.pixels:
            raise unknown_key(missing[0] if missing else "pixels", len(record), ", ".join(record))
        return record_of_cells([record[name] for name in self.pixels])


def _is_band(cell: Any) -> bool:
    return isinstance(cell, list) and len(cell) >= MIN_SERIES


def _records(content: Any) -> list[Mapping[str, Any]]:
    """Returns the records of a list of objects, or of an object of columns."""
    if (
        isinstance(content, Mapping)
        and content
        and all(isinstance(record, list) for record in content.values())
    ):
        return [dict(zip(content, cells, strict=True)) for cells in zip(*content.values(), strict=True)]
    if (
        isinstance(content, Mapping)
        and content
        and all(isinstance(record, Mapping) for record in content.values())
    ):
        keys = list(next(iter(content.values())))
        return [{name: column.get(key) for name, column in content.items()} for key in keys]
    if isinstance(content, list) and all(isinstance(record, Mapping) for record in content):
        return content
    raise DataError("JSON without a list of records", code="D06")


def _narrow(values: np.ndarray) -> np.ndarray:
    """Returns whole numbers of 0 to 255 as bytes, others of pandas' wide types as they are."""
    if values.dtype.kind in "iu" and values.size and values.min() >= 0 and values.max() <= 255:
        return values.astype(np.uint8)
    return values
