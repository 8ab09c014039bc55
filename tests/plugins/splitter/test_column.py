"""The splitter that reads folds from a column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.data.folds import make_folds
from kit.data.table import Table
from kit.errors import ConfigError, DataError, KitWarning
from kit.kinds import Splitter


def table(cells: list[str], groups: list[str] | None = None, folder: Path = Path("nowhere")) -> Table:
    """Rows r00, r01 ... of one class, with a column `part`."""
    ids = [f"r{row:02d}" for row in range(len(cells))]
    return Table(
        np.array(ids),
        tuple(folder / f"{name}.png" for name in ids),
        ("a",),
        np.zeros(len(cells), int),
        None if groups is None else np.array(groups),
        frame=pd.DataFrame({"id": ids, "part": cells}),
    )


def split(cells: list[str], groups: list[str] | None = None) -> list[int]:
    splitter = Splitter.open({"name": "column", "column": "part"})
    numbers: list[int] = make_folds(table(cells, groups), splitter, 0).numbers[:, 0].tolist()
    return numbers


def test_names_are_numbered_in_their_order_and_blank_is_never_held_out() -> None:
    assert split(["south", "north", "", "north", " ", "south", "east", "east"]) == [2, 1, -1, 1, -1, 2, 0, 0]


def test_numbers_are_ordered_by_size_and_minus_one_is_never_held_out() -> None:
    assert split(["10", "2", "-1", "10", "2", "-1", "-1", "-1"]) == [1, 0, -1, 1, 0, -1, -1, -1]


def test_the_order_of_the_file_does_not_matter() -> None:
    rows = table(["x", "y", "x", "y", "x", "y", "x", "y"])
    splitter = Splitter.open({"name": "column", "column": "part"})
    again = make_folds(rows.take(np.arange(8)[::-1]), splitter, 0)
    assert again.numbers[:, 0].tolist() == [0, 1, 0, 1, 0, 1, 0, 1]


def test_it_is_as_sklearns_predefined_split() -> None:
    from sklearn.model_selection import PredefinedSplit

    cells = [1, 0, -1, 1, 2, 2, 0, -1]
    mine = np.array(split([str(cell) for cell in cells]))
    for fold, (trained, held) in enumerate(PredefinedSplit(cells).split()):
        assert np.flatnonzero(mine == fold).tolist() == held.tolist()
        assert np.flatnonzero(mine != fold).tolist() == trained.tolist()


def test_a_missing_column_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no column 'parts'; did you mean 'part'") as caught:
        make_folds(table(["x", "y"]), Splitter.open({"name": "column", "column": "parts"}), 0)
    assert caught.value.code == "C07"
    assert "id, part" in caught.value.hint


@pytest.mark.parametrize(
    ("cells", "words"), [(["x"] * 8, "holds all rows in 'x'"), ([""] * 8, "is blank in every row")]
)
def test_a_column_without_two_parts_is_refused(cells: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        split(cells)
    assert caught.value.code == "D35"


def test_groups_that_the_column_tears_are_refused_and_whole_ones_are_not() -> None:
    groups = ["g", "g", "h", "h", "i", "i", "j", "j"]
    assert split(["x", "x", "y", "y", "x", "x", "y", "y"], groups) == [0, 0, 1, 1, 0, 0, 1, 1]
    with pytest.raises(DataError, match="'column' separates 1 of 4 groups") as caught:
        split(["x", "y", "y", "y", "x", "x", "y", "y"], groups)
    assert caught.value.code == "D34"
    with pytest.raises(
        DataError, match="separates 1 of 4 groups"
    ):  # held out with one row, trained on with another
        split(["x", "", "y", "y", "x", "x", "y", "y"], groups)


def test_identical_images_share_the_fold_of_the_first(tmp_path: Path) -> None:
    rows = table(["x", "y", "x", "y", "x", "y", "x", "y"], folder=tmp_path)
    for row, path in enumerate(rows.paths):
        path.write_bytes(bytes([0 if row == 3 else row]) * 4)
    with pytest.warns(KitWarning, match="W0"):
        folds = make_folds(rows, Splitter.open({"name": "column", "column": "part"}), 0)
    assert folds.numbers[[0, 3], 0].tolist() == [0, 0]


def test_only_the_names_asked_for_are_held_out() -> None:
    cells = ["train", "val", "train", "val", "test", ""]
    splitter = Splitter.open({"name": "column", "column": "part", "held_out": ["val"]})
    folds = make_folds(table(cells), splitter, 0)
    assert folds.numbers[:, 0].tolist() == [-1, 0, -1, 0, -1, -1]
    several = Splitter.open({"name": "column", "column": "part", "held_out": ["val", "test"]})
    assert make_folds(table(cells), several, 0).numbers[:, 0].tolist() == [-1, 1, -1, 1, 0, -1]


def test_a_name_that_no_row_has_is_refused_with_the_nearest() -> None:
    splitter = Splitter.open({"name": "column", "column": "part", "held_out": ["vall"]})
    with pytest.raises(ConfigError, match="no row has 'vall' in column 'part'; did you mean 'val'"):
        make_folds(table(["train", "val"]), splitter, 0)
