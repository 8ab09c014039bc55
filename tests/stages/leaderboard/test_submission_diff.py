"""Two submissions are compared by id: how far apart they are, and which rows are answered differently."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kit.errors import InvalidError
from kit.stages.leaderboard.submission_diff import Change, changes, difference, read_answers


def written(folder: Path, name: str, text: str, shape: str | None = None) -> Path:
    file = folder / f"{name}.csv"
    file.write_text(text)
    if shape is not None:
        file.with_suffix(".json").write_text(json.dumps({"format": {"name": shape}}))
    return file


def test_labels_differ_in_a_share_of_the_rows_whatever_their_order(tmp_path: Path) -> None:
    one = read_answers(written(tmp_path, "a", "id,label\nx,ant\ny,bee\nz,bee\nw,cat\n"))
    other = read_answers(written(tmp_path, "b", "id,label\nw,cat\nz,cat\ny,cat\nx,ant\n"))
    assert difference(one, other) == 0.5
    assert changes(one, other) == (Change("bee", "cat", ("y", "z")),)
    assert difference(one, one) == 0
    assert changes(one, one) == ()


def test_probabilities_are_apart_by_the_largest_change_of_each_row(tmp_path: Path) -> None:
    one = read_answers(written(tmp_path, "a", "id,ant,bee\nx,0.9,0.1\ny,0.4,0.6\n", "probabilities"))
    other = read_answers(written(tmp_path, "b", "id,ant,bee\ny,0.5,0.5\nx,0.7,0.3\n", "probabilities"))
    assert difference(one, other) == pytest.approx((0.2 + 0.1) / 2)
    assert changes(one, other) == (Change("bee", "ant", ("y",)),)


def test_the_most_frequent_change_comes_first(tmp_path: Path) -> None:
    one = read_answers(written(tmp_path, "a", "id,label\n1,a\n2,a\n3,b\n4,b\n5,b\n"))
    other = read_answers(written(tmp_path, "b", "id,label\n1,b\n2,c\n3,c\n4,c\n5,b\n"))
    assert [(change.before, change.after, len(change.ids)) for change in changes(one, other)] == [
        ("b", "c", 2),
        ("a", "b", 1),
        ("a", "c", 1),
    ]


def test_labels_that_are_numbers_are_labels(tmp_path: Path) -> None:
    one = read_answers(written(tmp_path, "a", "id,label\nx,0\ny,1\n", "label"))
    other = read_answers(written(tmp_path, "b", "id,label\nx,7\ny,1\n"))
    assert difference(one, other) == 0.5


def test_one_number_a_row_is_decided_at_a_half(tmp_path: Path) -> None:
    one = read_answers(written(tmp_path, "a", "id,p\nx,0.45\ny,0.9\n", "binary_probability"))
    other = read_answers(written(tmp_path, "b", "id,p\nx,0.55\ny,0.7\n", "binary_probability"))
    assert difference(one, other) == pytest.approx(0.15)
    assert changes(one, other) == (Change("below 0.5", "0.5 and above", ("x",)),)


def test_of_several_rows_an_id_the_first_decides(tmp_path: Path) -> None:
    one = read_answers(
        written(tmp_path, "a", "id,label,rank\nx,ant,1\nx,bee,2\ny,cat,1\ny,ant,2\n", "ranking")
    )
    other = read_answers(
        written(tmp_path, "b", "id,label,rank\nx,bee,1\nx,ant,2\ny,cat,1\ny,bee,2\n", "ranking")
    )
    assert difference(one, other) == 0.5
    assert changes(one, other) == (Change("ant", "bee", ("x",)),)


def test_other_rows_cannot_be_compared(tmp_path: Path) -> None:
    one = read_answers(written(tmp_path, "a", "id,label\nx,ant\ny,bee\n"))
    other = read_answers(written(tmp_path, "b", "id,label\nx,ant\nz,bee\n"))
    with pytest.raises(InvalidError, match="D43 the two submissions have different rows: 2 and 2"):
        difference(one, other)


@pytest.mark.parametrize("shape", ["probabilities", "multi_hot"])
def test_several_labels_in_columns_decide_together(shape: str, tmp_path: Path) -> None:
    cells = {"probabilities": ("0.9,0.5,0.1", "0.2,0.1,0.4"), "multi_hot": ("1,1,0", "0,0,0")}[shape]
    one = written(tmp_path, "a", f"id,ant,bee,cat\nx,{cells[0]}\ny,{cells[1]}\n")
    other = written(tmp_path, "b", f"id,ant,bee,cat\nx,{cells[0]}\ny,{cells[0]}\n")
    for file in (one, other):
        file.with_suffix(".json").write_text(json.dumps({"format": {"name": shape}, "multi_label": True}))
    answers = [read_answers(file) for file in (one, other)]
    assert answers[0].decisions == ("ant bee", "no label")
    assert changes(*answers) == (Change("no label", "ant bee", ("y",)),)
