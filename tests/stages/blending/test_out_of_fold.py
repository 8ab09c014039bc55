"""Rows that all members predict: what stays together when they are cut into parts, and what is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kit.data.table import Table
from kit.stages.blending.out_of_fold import row_clusters


def table(paths: list[Path], groups: list[str] | None) -> Table:
    ids = np.array([f"{row}" for row in range(len(paths))])
    return Table(ids, paths, groups=None if groups is None else np.array(groups))


def same_part(clusters: np.ndarray | None) -> set[tuple[int, int]]:
    assert clusters is not None
    rows = range(len(clusters))
    return {
        (row, other) for row in rows for other in rows if row < other and clusters[row] == clusters[other]
    }


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Four images, of which the first and the last are the same byte for byte."""
    made = [tmp_path / f"{row}.png" for row in range(4)]
    for path, content in zip(made, (b"same", b"one", b"other", b"same"), strict=True):
        path.write_bytes(content)
    return made


def test_rows_of_one_fold_keep_copies_and_groups_together(paths: list[Path]) -> None:
    one = np.zeros(4, dtype=int)
    assert same_part(row_clusters(one, table(paths, None))) == {(0, 3)}
    assert same_part(row_clusters(one, table(paths, ["a", "b", "b", "c"]))) == {(0, 3), (1, 2)}
    # row 1 shares a group with row 0, whose copy is row 3
    assert same_part(row_clusters(one, table(paths, ["a", "a", "b", "c"]))) == {(0, 1), (0, 3), (1, 3)}


def test_two_folds_keep_groups_alone_and_no_image_is_read(tmp_path: Path) -> None:
    missing = [tmp_path / "nowhere.png"] * 4
    two = np.array([0, 1, 1, 0])
    assert row_clusters(two, table(missing, None)) is None
    assert same_part(row_clusters(two, table(missing, ["a", "b", "b", "c"]))) == {(1, 2)}
