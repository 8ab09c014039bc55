"""Arrays of NumPy: .npy and .npz."""

from __future__ import annotations

import math
import zipfile
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

import numpy as np

from kit.errors import DataError
from kit.kinds import ReadRules
from kit.kinds.reader import Keys
from kit.plugins.reader._arrays import ArrayReader
from kit.plugins.reader._open_files import open_once
from kit.plugins.reader._records import check_bytes

if TYPE_CHECKING:
    from kit.kinds.reader import Record


class Npy(ArrayReader):
    """NumPy arrays: a .npy or .npz file per image, or `{index}` of a stack, or a name in an .npz file.

    `images.npy::{index}` is one image of a stack, counted from 0. `arrays.npz::{id}` is an array by its name.

    Source: numpy.lib.format; pickled arrays are refused.
    """

    endings: ClassVar[tuple[str, ...]] = (".npy", ".npz")
    keys: ClassVar[Keys] = "optional"

    def load(self, file: Path, key: str) -> Record:
        if file.suffix.lower() == ".npz":
            return open_once(_open_npz, file).read(key)
        return _item(open_once(_open_stack, file), key) if key else super().load(file, key)

    def array(self, record: Record, rules: ReadRules) -> np.ndarray:
        return record if isinstance(record, np.ndarray) else array_of(record)


def array_of(content: bytes) -> np.ndarray:
    """Returns the array of a .npy file's content, without a copy. Raises DataError D05, D06 or D50."""
    if not content.startswith(b"\x93NUMPY"):
        raise DataError(f"not a .npy file: begins with {content[:12]!r}", code="D06")
    stream = BytesIO(content)
    shape, is_fortran, dtype = _header(stream)
    start, count = stream.tell(), math.prod(shape)
    if len(content) - start < count * dtype.itemsize:
        raise DataError(
            f"truncated .npy file: {len(content) - start:,} bytes of {count * dtype.itemsize:,}", code="D05"
        )
    flat = np.frombuffer(content, dtype, count, start)
    return flat.reshape(shape, order="F" if is_fortran else "C")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Returns shape, order and type from a .npy header.

    Raises DataError D05 for a damaged one, D50 for pickled objects.
    """
    form = np.lib.format
    try:
        version = form.read_magic(stream)
        read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
        shape, is_fortran, dtype = read(stream)
    except Exception as error:  # any error of the parser
        raise DataError(f"corrupt .npy file: {error}".splitlines()[0], code="D05") from None
    if dtype.hasobject:
        raise DataError("refused: contains pickled objects, which can run code", code="D50")
    return shape, is_fortran, dtype


def _open_stack(file: Path) -> np.ndarray:
    with file.open("rb") as stream:
        shape, is_fortran, dtype = _header(stream)
        start = stream.tell()
    if file.stat().st_size - start < math.prod(shape) * dtype.itemsize:
        raise DataError(f"truncated .npy file: its header claims the shape {shape}", code="D05")
    return np.memmap(file, dtype, "r", start, shape, "F" if is_fortran else "C")


def _item(stack: np.ndarray, key: str) -> np.ndarray:
    if not (key.isdecimal() and stack.ndim and int(key) < len(stack)):
        count = len(stack) if stack.ndim else 0
        raise DataError(f"no image {key!r} among {count:,}, counted from 0", code="D02")
    return np.array(stack[int(key)])


class _Npz:
    """An .npz file that stays open."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive

    def read(self, key: str) -> np.ndarray:
        """Returns an array by its name, or the only one. Raises DataError D02, D05, D10 or D50."""
        names = self.archive.namelist()
        wanted = f"{key}.npy" if key else names[0] if len(names) == 1 else ""
        if wanted not in names:
            names_text = ", ".join(name.removesuffix(".npy") for name in names[:5])
            raise DataError(f"no array {key!r}; it has {len(names)}: {names_text}", code="D02")
        entry = self.archive.getinfo(wanted)
        check_bytes(entry.file_size, entry.compress_size)
        with self.archive.open(wanted) as stream:
            shape, _, dtype = _header(stream)
        if math.prod(shape) * dtype.itemsize > self.archive.getinfo(wanted).file_size:
            raise DataError("truncated .npz file", code="D05")
        return array_of(self.archive.read(wanted))

    def close(self) -> None:
        """Closes the file."""
        self.archive.close()


def _open_npz(file: Path) -> _Npz:
    try:
        return _Npz(zipfile.ZipFile(file))
    except zipfile.BadZipFile as error:
        raise DataError(f"corrupt .npz file: {error}", code="D05") from None
