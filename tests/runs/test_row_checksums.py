"""Row checksums: the rows of a table whose label, group or image changed, by a comparison of the values themselves."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from kit.data.table import Table
from kit.runs.row_checksums import FILE, RowChecksums

TABLE = Table(
    np.array(["a", "b", "c"]),
    [Path("a"), Path("b"), Path("c")],
    classes=("x", "y"),
    labels=np.array([0, 1, 0]),
    groups=np.array(["p", "p", "q"]),
)


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    RowChecksums.of(TABLE, ["1f", "2f", "3f"]).write(tmp_path)
    checksums = RowChecksums.read(tmp_path)
    assert checksums is not None
    assert checksums.ids.tolist() == ["a", "b", "c"]
    assert checksums.label.tolist() == [zlib.crc32(text) for text in (b"0", b"1", b"0")]
    assert checksums.group.tolist() == [zlib.crc32(text) for text in (b"'p'", b"'p'", b"'q'")]


def test_changed_labels_groups_and_images_are_named() -> None:
    before = RowChecksums.of(TABLE, ["1f", "2f", "3f"])
    moved = replace(TABLE.take([2, 0]), labels=np.array([1, 0]), groups=np.array(["q", "z"]))
    now = RowChecksums.of(moved, ["4f", "1f"])
    assert before.find_changed(now, "label") == ["c"]
    assert before.find_changed(now, "group") == ["a"]
    assert before.find_changed(now, "image") == ["c"]


def test_a_damaged_file_explains_nothing(tmp_path: Path) -> None:
    assert RowChecksums.read(tmp_path) is None
    (tmp_path / FILE).write_bytes(b"PAR1")
    assert RowChecksums.read(tmp_path) is None
