"""HDF5 files: a data set per image, or a stack of images."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kit.errors import DataError
from kit.kinds.reader import Keys
from kit.plugins.reader._open_files import open_once
from kit.plugins.reader._records import (
    MAX_UNASKED_BYTES,
    RecordReader,
    as_record,
    check_bytes,
    unknown_key,
)

if TYPE_CHECKING:
    from kit.kinds.reader import Record

MAX_GROUPS = 16  # groups of a file that are searched
MAX_LINKS = 16  # soft links that are followed for a key


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
        dataset, number = _find(open_once(_open, file).id, key)
        _check_storage(dataset, key)
        shape = dataset.shape
        count = math.prod(shape if number is None else shape[1:]) * dataset.dtype.itemsize
        check_bytes(
            count, dataset.get_storage_size() if number is None and count > MAX_UNASKED_BYTES else None
        )
        try:
            values = _read(dataset, shape, number)
        except Exception as error:  # any error of the library
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
    """Returns the data set of a key, and the number of the image in it if the key ends in one, by h5py's
    low-level names.

    Soft links are followed here, step by step, because the library would follow one into another file.
    """
    from h5py import h5d, h5g, h5l, h5o

    node, parts, links = file, [part for part in key.split("/") if part], 0
    while parts:
        if isinstance(node, h5d.DatasetID):
            length = node.shape[0] if node.shape else 1
            if len(parts) == 1 and parts[0].isdecimal() and node.shape and int(parts[0]) < length:
                return node, int(parts[0])
            raise unknown_key(key, length)
        part, *rest = parts
        kind = _link_kind(node, part, key)
        if kind == h5l.TYPE_EXTERNAL:
            raise DataError(f"record {key!r} is a link to another file", code="D20")
        if kind == h5l.TYPE_SOFT and links < MAX_LINKS:
            target = node.links.get_val(part.encode()).decode("utf-8", "surrogateescape")
            node = file if target.startswith("/") else node
            parts, links = [*(step for step in target.split("/") if step not in ("", ".")), *rest], links + 1
            continue
        if kind != h5l.TYPE_HARD:
            raise _unknown(key, node)
        node, parts = h5o.open(node, part.encode()), rest
    while not key and isinstance(node, h5g.GroupID) and len(node) == 1:  # the only one
        (name,) = node
        if node.links.get_info(name).type != h5l.TYPE_HARD:
            break
        node = h5o.open(node, name)
    if not isinstance(node, h5d.DatasetID):
        raise _is_group(key, node) if key else _unknown(key, node)
    return node, None


def _link_kind(group: Any, part: str, key: str) -> int:
    """Returns the kind of the link of a name in a group. Raises DataError D02 if the group lacks the name."""
    name = part.encode()
    if not hasattr(group, "links") or not group.links.exists(name):  # a named type has no links
        raise _unknown(key, group)
    kind: int = group.links.get_info(name).type
    return kind


def _unknown(key: str, group: Any) -> DataError:
    names = [] if not hasattr(group, "links") else [name.decode("utf-8", "replace") for name in group]
    return unknown_key(key, len(names), next(iter(names), ""))


def _is_group(key: str, group: Any) -> DataError:
    names = [] if not hasattr(group, "links") else [name.decode("utf-8", "replace") for name in group]
    example = f", such as {key}/{names[0]}" if names else ""
    return DataError(f"{key!r} is a group of {len(names):,} records{example}, not an image", code="D02")


def _check_storage(dataset: Any, key: str) -> None:
    """Raises DataError D20 if values are stored in other files."""
    from h5py import h5d

    properties = dataset.get_create_plist()
    if properties.get_layout() == h5d.VIRTUAL or properties.get_external_count():
        raise DataError(f"record {key!r} is stored in another file", code="D20")


def _read(dataset: Any, shape: tuple[int, ...], number: int | None) -> Any:
    """Returns the values of a data set, or of one image of a stack; plain ones are read straight into an array."""
    import h5py

    dtype = dataset.dtype
    if number is not None or dtype.kind not in "biufV" or dtype.metadata:
        return h5py.Dataset(dataset)[() if number is None else number]
    values = np.empty(shape, dtype)
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return values[()]
