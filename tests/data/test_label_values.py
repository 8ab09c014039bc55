"""Columns of numbers and of shares as labels, and the cells that are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kit.config.models import Data
from kit.data.table import Table, train_table
from kit.errors import ConfigError, DataError
from tests.drawn_tables import PLAIN, csv, make


def drawn(root: Path, header: str, rows: list[str], **keys: object) -> Table:
    make(
        root,
        {"train.csv": csv(f"id,{header}", *(f"a{n},{row}" for n, row in enumerate(rows)))},
        [f"images/a{n}.png" for n in range(len(rows))],
    )
    return train_table(root, Data.model_validate({**PLAIN.model_dump(), "sample": None, **keys}))


def test_one_column_or_several_are_read_as_numbers(tmp_path: Path) -> None:
    one = drawn(tmp_path / "one", "weight", ["3", "-2.5e1", "0.0"], label="weight", target="numbers")
    assert (one.label_kind, one.classes, one.targets().tolist()) == (
        "numbers",
        ("weight",),
        [[3], [-25], [0]],
    )
    two = drawn(tmp_path / "two", "b,x,a", ["1,2,3", "4,5,6"], label=["a", "b"], target="numbers")
    assert (two.classes, two.targets().tolist()) == (("a", "b"), [[3, 1], [6, 4]])
    means, scales = two.scale()
    assert (means, scales) == ((4.5, 2.5), (1.5, 1.5))
    assert two.scale(np.array([True, False])) == ((3.0, 1.0), (1.0, 1.0))  # constant: not divided by 0
    assert two.label_names(0) == ("a 3", "b 1")


@pytest.mark.parametrize("cell", ["", "nan", "inf", "-inf", "twelve", "1,5"])
def test_a_label_that_is_not_a_finite_number_is_refused(cell: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="D31") as caught:
        drawn(tmp_path, "weight", ["1", f'"{cell}"', "3"], label="weight", target="numbers")
    assert caught.value.summary == "1 labels are not finite numbers"
    (case,) = caught.value.cases
    assert (case.id, case.detail) == ("a1", f"column 'weight' holds {cell!r}")


def test_a_label_outside_the_declared_range_is_refused(tmp_path: Path) -> None:
    keys = {"label": "weight", "target": "numbers", "target_range": [0, 100]}
    assert len(drawn(tmp_path / "in", "weight", ["0", "100"], **keys)) == 2
    with pytest.raises(DataError, match="outside data.target_range, 0 to 100") as caught:
        drawn(tmp_path / "out", "weight", ["0", "100.5", "-1"], **keys)
    assert [case.id for case in caught.value.cases] == ["a1", "a2"]
    with pytest.raises(ValueError, match="target_range must ascend"):
        Data.model_validate({"target": "numbers", "target_range": [3, 3]})


def test_keys_that_make_classes_are_refused_beside_numbers(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="data.label_from.rename has no effect"):
        drawn(
            tmp_path,
            "weight",
            ["1", "2"],
            label="weight",
            target="numbers",
            label_from={"rename": {"1": "2"}},
        )
    with pytest.raises(ConfigError, match="data.label is one column"):
        drawn(tmp_path, "weight", ["1", "2"], label="weight", target="shares")


def test_shares_and_votes_become_rows_of_sum_1(tmp_path: Path) -> None:
    votes = drawn(tmp_path / "votes", "k,l,m", ["3,0,1", "0,2,0"], label=["k", "l", "m"], target="shares")
    assert votes.label_kind == "soft"
    assert votes.targets().tolist() == [[0.75, 0, 0.25], [0, 1, 0]]
    assert votes.label_names(0) == ("k 75%", "m 25%")
    assert votes.prior().tolist() == [0.375, 0.5, 0.125]
    rounded = drawn(
        tmp_path / "rounded", "k,l,m", ["0.33,0.33,0.33"] * 2, label=["k", "l", "m"], target="shares"
    )
    assert np.allclose(rounded.targets(), 1 / 3)


@pytest.mark.parametrize(
    ("rows", "summary", "ids"),
    [
        (["0.5,0.5", "0.5,0.4"], "1 training rows have shares that do not sum to 1", ["a1"]),
        (["3,1", "0,0"], "1 training rows have no vote", ["a1"]),
        (["1.5,-0.5", "1,0"], "1 shares are below 0", ["a0"]),
    ],
)
def test_shares_that_are_none_are_refused(
    rows: list[str], summary: str, ids: list[str], tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        drawn(tmp_path, "k,l", rows, label=["k", "l"], target="shares")
    assert caught.value.summary == summary
    assert [case.id for case in caught.value.cases] == ids


@pytest.mark.parametrize(
    ("cells", "hint"),
    [
        (['"1,5"', "2", '"-0,5"'], "write a point instead of the comma"),
        (["cat", "dog"], "data.target=classes if the labels are names"),
        (["1", "dog"], "correct the cells"),
    ],
)
def test_the_hint_about_numbers_fits_the_cells(tmp_path: Path, cells: list[str], hint: str) -> None:
    with pytest.raises(DataError) as caught:
        drawn(tmp_path, "y", cells, target="numbers", label="y")
    assert caught.value.code == "D31"
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("cells", "hint"),
    [
        (["10,90", "99.95,0"], "they are percentages: divide them by 100"),
        (["0.1,0.9", "99.95,0"], "correct the cells"),
        (["0.1,0.9", "-0.5,1.5"], "correct the cells"),
    ],
)
def test_the_hint_about_shares_fits_the_cells(tmp_path: Path, cells: list[str], hint: str) -> None:
    with pytest.raises(DataError) as caught:
        drawn(tmp_path, "p,q", cells, target="shares", label=["p", "q"])
    assert caught.value.hint.startswith(hint)
