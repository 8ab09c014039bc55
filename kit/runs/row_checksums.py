"""Row checksums: of each row's label, group and image, in a run's folder, so that D60 can name the changed rows."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np

from kit.core.files import atomic_file
from kit.data.table import Table

FILE = "rows.parquet"


@dataclass(frozen=True, eq=False)
class RowChecksums:
    """CRC-32 of each row's label, group and image file, (rows,) uint32; 0 without a value."""

    ids: np.ndarray  # (rows,) of str
    label: np.ndarray
    group: np.ndarray
    image: np.ndarray

    @classmethod
    def of(cls, table: Table, image_hashes: Sequence[str]) -> Self:
        """Returns the checksums of a table whose images have these hashes; without images if the counts differ."""
        count = len(table)
        labels: Iterable[object] = ()
        if table.is_multi_label:
            labels = (table.label_names(row) for row in range(count))
        elif table.labels is not None:
            labels = table.labels.tolist()
        groups: Iterable[object] = () if table.groups is None else table.groups.tolist()
        hashes = image_hashes if len(image_hashes) == count else ()
        return cls(table.ids, _checksums(labels, count), _checksums(groups, count), _checksums(hashes, count))

    def write(self, folder: Path) -> None:
        """Writes rows.parquet."""
        import pyarrow
        from pyarrow import parquet

        columns = {attribute.name: getattr(self, attribute.name) for attribute in fields(self)}
        with atomic_file(folder / FILE) as part:
            parquet.write_table(pyarrow.table(columns), part)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Reads the file of `write`; None if it is missing or damaged, because it only explains an error."""
        import pyarrow
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(folder / FILE) as file:
                columns = file.read().to_pydict()
            ids = np.asarray(columns["ids"], dtype=str)
            return cls(
                ids, *(np.asarray(columns[column], dtype=np.uint32) for column in ("label", "group", "image"))
            )
        except (pyarrow.ArrowException, OSError, KeyError, TypeError, ValueError, OverflowError):
            return None

    def find_changed(self, other: RowChecksums, column: str) -> list[str]:
        """Returns the ids, sorted, of the common rows whose checksums of a column differ."""
        before = dict(zip(self.ids.tolist(), getattr(self, column).tolist(), strict=True))
        now = zip(other.ids.tolist(), getattr(other, column).tolist(), strict=True)
        return sorted(name for name, value in now if name in before and before[name] != value)


def _checksums(values: Iterable[object], count: int) -> np.ndarray:
    checksums = np.fromiter((zlib.crc32(repr(value).encode()) for value in values), np.uint32)
    return checksums if len(checksums) == count else np.zeros(count, np.uint32)
