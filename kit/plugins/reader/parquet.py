"""Parquet files: a row per image, or a file per image."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kit.core.locations import parts_of
from kit.errors import DataError
from kit.kinds.reader import Keys
from kit.plugins.reader._open_files import open_once
from kit.plugins.reader._records import check_bytes
from kit.plugins.reader._tables import Rows, TableReader, record_of_cells

if TYPE_CHECKING:
    from kit.kinds.reader import Record

BATCH_ROWS = 256  # rows that are decoded at a time
TIMES = ("time", "timestamp", "index", "__index_level_0__")  # columns of a table that are not pixels


class Parquet(TableReader):
    """Parquet files: a row per image, by its number or a column's cell; or a table of numbers per image.

    `parts_*.parquet::image_id/{id}` is a row of one of several files. Its pixels are one column each, or a
    cell with an encoded image or a list. Without a key the file's whole table is the image, without a column
    called time.

    Source: pyarrow.parquet.
    """

    endings: ClassVar[tuple[str, ...]] = (".parquet", ".pq")
    keys: ClassVar[Keys] = "optional"

    def rows(self, file: Path) -> ParquetRows:
        return open_once(_OpenParquet(self.columns), file)

    def load(self, file: Path, key: str) -> Record:
        return super().load(file, key) if key else self.rows(file).whole()

    def order(self, locations: Sequence[Path]) -> list[Path]:
        """Returns the locations by the position of the row in its file, because rows are decoded one after another."""
        return sorted(locations, key=self._place)

    def _place(self, location: Path) -> tuple[str, int]:
        part = parts_of(location)[0]
        if not part.key:
            return part.file, 0
        try:
            rows, number = self.find(Path(part.file), part.key)
        except (DataError, OSError):  # reading the file reports the error
            return part.file, -1
        assert isinstance(rows, ParquetRows)
        return str(rows.file), number


@dataclass(frozen=True)
class _OpenParquet:
    """Opens a parquet file; equal ones open a file once."""

    columns: tuple[str, ...]

    def __call__(self, file: Path) -> ParquetRows:
        return ParquetRows(file, self.columns)


class ParquetRows(Rows):
    """The rows of a parquet file, decoded in batches, of which the last two are cached."""

    def __init__(self, file: Path, wanted: Sequence[str]) -> None:
        from pyarrow import parquet

        self.file, self._reading = file, threading.Lock()
        try:
            self.opened = parquet.ParquetFile(file)
        except Exception as error:  # any error of the library
            text = (str(error) or type(error).__name__).splitlines()[0][:150]
            raise DataError(f"not a parquet file, or a corrupt one: {text}", code="D05") from None
        self.schema = self.opened.schema_arrow
        super().__init__(self.schema.names, wanted)
        self.is_series = len(self.pixels) > 1
        self.pixels = self.pixels or self._encoded()
        self._batches: Iterator[Any] = iter(())
        self._kept: deque[tuple[int, Any]] = deque(maxlen=2)  # first row and decoded values
        self._next = 0

    def _encoded(self) -> tuple[str, ...]:
        """Returns the first column of bytes, or of structures with bytes, such as the images of Hugging Face
        data sets.
        """
        from pyarrow import types

        def holds_bytes(kind: Any) -> bool:
            return bool(types.is_binary(kind) or types.is_large_binary(kind))

        for field in self.schema:
            kind = field.type
            is_struct = types.is_struct(kind) and kind.get_field_index("bytes") >= 0
            if holds_bytes(kind) or (is_struct and holds_bytes(kind.field("bytes").type)):
                return (field.name,)
        lists = [field.name for field in self.schema if types.is_list(field.type)]
        return tuple(lists[:1])

    def __len__(self) -> int:
        return int(self.opened.metadata.num_rows)

    def column(self, name: str) -> Sequence[str]:
        return [str(cell) for cell in self.opened.read(columns=[name])[name].to_pylist()]

    def record(self, number: int) -> Record:
        if not self.pixels:
            raise DataError("no column of pixels: data.reader.columns names them", code="D15")
        with self._reading:
            first, decoded = self._batch(number)
        if isinstance(decoded, np.ndarray):
            row: np.ndarray = decoded[number - first]
            return row
        return record_of_cells([decoded.column(name)[number - first].as_py() for name in self.pixels])

    def _batch(self, number: int) -> tuple[int, Any]:
        """Returns the decoded batch that has a row, and the number of its first row."""
        for first, decoded in self._kept:
            if first <= number < first + len(decoded):
                return first, decoded
        if number < self._next or not self._kept:
            self._begin(number)
        while True:
            try:
                batch = next(self._batches)
            except StopIteration:
                raise DataError(f"ends before row {number}", code="D05") from None
            except Exception as error:  # any error of the library
                raise DataError(f"corrupt parquet: {str(error).splitlines()[0][:150]}", code="D05") from None
            first, self._next = self._next, self._next + batch.num_rows
            if number < self._next:
                self._kept.append((first, self._decode(batch)))
                return self._kept[-1]

    def _begin(self, number: int) -> None:
        """Starts decoding at the row group that has a row."""
        counts = [
            self.opened.metadata.row_group(group).num_rows for group in range(self.opened.num_row_groups)
        ]
        starts = np.cumsum([0, *counts])
        group = int(np.searchsorted(starts, number, side="right")) - 1
        self._kept.clear()
        self._next = int(starts[group])
        self._batches = self.opened.iter_batches(
            BATCH_ROWS, row_groups=list(range(group, len(counts))), columns=list(self.pixels)
        )

    def _decode(self, batch: Any) -> Any:
        if not self.is_series:
            return batch
        columns = [batch.column(batch.schema.get_field_index(name)).to_numpy(False) for name in self.pixels]
        return np.ascontiguousarray(np.stack(columns, axis=1))

    def whole(self) -> np.ndarray:
        """Returns all numbers of the table, (rows, columns). Raises DataError D15 if it has none."""
        from pyarrow import types

        names = [
            name
            for name in (self.pixels if self.is_series else self.names)
            if name.lower() not in TIMES
            and (types.is_floating(kind := self.schema.field(name).type) or types.is_integer(kind))
        ]
        check_bytes(8 * len(self) * len(names))
        if not names:
            raise DataError("the table has no columns of numbers", code="D15")
        try:
            table = self.opened.read(columns=names)
        except Exception as error:  # any error of the library
            raise DataError(f"corrupt parquet: {str(error).splitlines()[0][:150]}", code="D05") from None
        return np.stack([table[name].to_numpy() for name in names], axis=1)

    def close(self) -> None:
        """Closes the file."""
        self.opened.close()
