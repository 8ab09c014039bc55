"""TFRecord files: records of features, one of which is the image."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kit.errors import DataError
from kit.kinds.reader import Keys
from kit.plugins.reader._open_files import open_once
from kit.plugins.reader._protobuf import Values, read_features
from kit.plugins.reader._records import MAGIC
from kit.plugins.reader._tables import Rows, TableReader, record_of_cells

if TYPE_CHECKING:
    from kit.kinds.reader import Record

HEAD, CHECKSUM = 12, 4  # bytes before a record (its length and the checksum of the length), and after it
MASK = 0xA282EAD8  # added to a rotated checksum


class TfRecord(TableReader):
    """TFRecord files: a tf.train.Example per image, by its number or a feature's value.

    `train*.tfrec::image_name/{id}` is the record with this value of a feature in one of several files, and
    `test.tfrec::{index}` a record by its number from 0. A file of one record needs no key. `columns` names
    the features of the image, by default the first that holds an encoded image. With `size` its bytes are the
    pixels. All checksums are compared.

    Source: tensorflow/core/lib/io/record_writer.h and example.proto; google-crc32c for CRC-32C.
    """

    package: ClassVar[str] = "google_crc32c"
    extra: ClassVar[str] = "arrays"
    endings: ClassVar[tuple[str, ...]] = (".tfrec", ".tfrecord", ".tfrecords")
    keys: ClassVar[Keys] = "optional"

    def load(self, file: Path, key: str) -> Record:
        return super().load(file, key or self.only_row(file))

    def rows(self, file: Path) -> Rows:
        return open_once(_OpenTfRecord(self.columns, self.size is not None), file)


@dataclass(frozen=True)
class _OpenTfRecord:
    """Opens a TFRecord file; equal ones open a file once."""

    columns: tuple[str, ...]
    is_raw: bool

    def __call__(self, file: Path) -> Rows:
        return TfRecordRows(file, self.columns, self.is_raw)


class TfRecordRows(Rows):
    """The records of a TFRecord file, whose offsets are found once; `is_raw`: bytes are pixels."""

    def __init__(self, file: Path, wanted: Sequence[str], is_raw: bool) -> None:
        self.file, self.is_raw, self.places = file, is_raw, _find_records(file)
        first = self.features(0)
        super().__init__(tuple(first), wanted)
        encoded = [name for name, values in first.items() if _is_image(values)]
        self.pixels = self.pixels or tuple(encoded[:1])

    def __len__(self) -> int:
        return len(self.places)

    def features(self, number: int) -> dict[str, Values]:
        """Returns the features of a record. Raises DataError D05 if its checksum does not match."""
        start, size = self.places[number]
        with self.file.open("rb", buffering=0) as stream:
            stream.seek(start)
            content = stream.read(size + CHECKSUM)
        _check(content[:size], content[size:], f"record {number}")
        try:
            return read_features(content[:size])
        except ValueError as error:  # also text that is not UTF-8
            raise DataError(f"record {number} is no tf.train.Example: {error}", code="D05") from None

    def column(self, name: str) -> Sequence[str]:
        return [_text(self.features(number).get(name, [])) for number in range(len(self))]

    def record(self, number: int) -> Record:
        features = self.features(number)
        missing = [name for name in self.pixels if name not in features]
        if missing or not self.pixels:
            names = ", ".join(features)
            raise DataError(
                f"record {number} has no feature {missing[0]!r}: it has {names}"
                if missing
                else f"no feature is an encoded image: data.reader.columns names it, of {names}",
                code="D15",
            )
        return record_of_cells([self._cell(features[name]) for name in self.pixels])

    def _cell(self, values: Values) -> Any:
        if isinstance(values, np.ndarray):
            return values
        if len(values) != 1:
            raise DataError(f"a feature holds {len(values)} images, not one", code="D15")
        return np.frombuffer(values[0], np.uint8) if self.is_raw else values[0]


def _find_records(file: Path) -> list[tuple[int, int]]:
    """Returns the offset and the size of each record. Raises DataError D05, D06 or D13."""
    spans: list[tuple[int, int]] = []
    at, size = 0, file.stat().st_size
    with file.open("rb", buffering=0) as stream:
        while at < size:
            stream.seek(at)
            head = stream.read(HEAD)
            try:
                _check(head[:8], head[8:], f"the length of record {len(spans)}")
            except DataError:
                if spans:
                    raise
                raise _no_tfrecord(head) from None
            (count,) = struct.unpack("<Q", head[:8])
            if at + HEAD + count + CHECKSUM > size:
                raise DataError(
                    f"truncated TFRecord: record {len(spans)} needs {count:,} bytes, and the file has {size:,}",
                    code="D05",
                )
            spans.append((at + HEAD, count))
            at += HEAD + count + CHECKSUM
    return spans


def _no_tfrecord(start: bytes) -> DataError:
    if start.startswith((b"\x1f\x8b", b"\x78")):
        return DataError("unsupported format: compressed TFRecord (unpack it first)", code="D13")
    return DataError(f"not a TFRecord file: begins with {start!r}", code="D06")


def _check(content: bytes, stored: bytes, what: str) -> None:
    """Raises DataError D05 if the masked CRC-32C of the content does not match."""
    import google_crc32c

    value = google_crc32c.value(content)
    turned = (value >> 15 | value << 17) & 0xFFFFFFFF
    if len(stored) != CHECKSUM or (turned + MASK) & 0xFFFFFFFF != int.from_bytes(stored, "little"):
        raise DataError(f"corrupt TFRecord: {what} does not fit its checksum", code="D05")


def _is_image(values: Values) -> bool:
    return isinstance(values, list) and bool(values) and values[0].startswith(MAGIC)


def _text(values: Values) -> str:
    """Returns the first value of a feature as text; empty without a value."""
    if not len(values):
        return ""
    first = values[0]
    return first.decode(errors="replace") if isinstance(first, bytes) else str(first)
