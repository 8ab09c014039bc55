"""HDF5 files: a data set per image, or a stack of images."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kit.errors import DataError
from kit.kinds.reader import Keys
from kit.plugins.reader._open_files import open_once
from kit.plugins.reader._records import RecordReader, as_record, check_bytes, unknown_key

if TYPE_CHECKING:
    from kit.kinds.reader import Record

MAX_GROUPS = 16  # groups of a file that are looked into


class Hdf5(RecordReader):
    """HDF5 files: the data set of a key is an array or an encoded image, or `images/{index}` of a stack.

    `train.hdf5::{id}` is a data set by its name. Without a key the file's only data set is the image. Links to other
    files are refused.

    Source: h5py.
    """

    package: ClassVar[str] = "h5py"
    extra: ClassVar[str] = "arrays"
    endings: ClassVar[tuple[str, ...]] = (".hdf5", ".h5", ".hdf")
    keys: ClassVar[Keys] = "optional"

    def load(self, file: Path, key: str) -> Record:
        found, number = _find(open_once(_open, file), key)
        _check_storage(found, key)
        check_bytes(int(found.nbytes) if number is None else int(found.nbytes) // max(1, len(found)))
        try:
            values = found[()] if number is None else found[number]
        except Exception as error:  # what the library happens to raise
            raise DataError(f"corrupt HDF5: {error}".splitlines()[0], code="D05") from None
        if isinstance(values, bytes | np.void):
            return values if isinstance(values, bytes) else values.tobytes()
        if isinstance(values, str):
            return values.encode("utf-8", "surrogateescape")
        return as_record(np.asarray(values))

    def find_keys(self, files: Sequence[Path], columns: Collection[str]) -> list[tuple[str, frozenset[str]]]:
        import h5py

        opened = open_once(_open, files[0])
        names = [name for name in opened if isinstance(opened.get(name, getlink=True), h5py.HardLink)]
        few = names[:MAX_GROUPS] if len(names) <= MAX_GROUPS else []
        groups = [name for name in few if isinstance(opened[name], h5py.Group)]
        inner = [(f"{name}/", frozenset(opened[name])) for name in groups]
        return [*inner, *([("", frozenset(names) - set(groups))] if len(names) > len(groups) else [])]


def _open(file: Path) -> Any:
    import h5py

    try:
        return h5py.File(file, "r")
    except OSError as error:
        with file.open("rb") as stream:
            start = stream.read(8)
        if start != b"\x89HDF\r\n\x1a\n":
            raise DataError(f"not an HDF5 file: begins with {start!r}", code="D06") from None
        raise DataError(f"corrupt HDF5: {error}".splitlines()[0], code="D05") from None


def _find(file: Any, key: str) -> tuple[Any, int | None]:
    """The data set of a key, and the number of the image in it where the key ends in one."""
    import h5py

    place, parts = file, [part for part in key.split("/") if part]
    for at, part in enumerate(parts):
        if isinstance(place, h5py.Dataset):
            rest = parts[at:]
            if len(rest) == 1 and part.isdecimal() and place.ndim and int(part) < len(place):
                return place, int(part)
            raise unknown_key(key, len(place) if place.ndim else 1)
        if isinstance(place.get(part, getlink=True), h5py.ExternalLink):
            raise DataError(f"record {key!r} is a link to another file", code="D20")
        try:
            place = place[part]
        except KeyError:
            raise unknown_key(key, len(place), next(iter(place), "")) from None
    while not parts and isinstance(place, h5py.Group) and len(place) == 1:  # the only one
        name = next(iter(place))
        if not isinstance(place.get(name, getlink=True), h5py.HardLink):
            break
        place = place[name]
    if not isinstance(place, h5py.Dataset):
        raise unknown_key(key, len(place), next(iter(place), ""))
    return place, None


def _check_storage(found: Any, key: str) -> None:
    """Raises DataError D20 for values that are stored in other files."""
    if found.is_virtual or found.external:
        raise DataError(f"record {key!r} is stored in another file", code="D20")
