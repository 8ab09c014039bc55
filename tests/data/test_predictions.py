"""Predictions: what is written is read, what is no distribution is refused, rows are found by id."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from kit.data import predictions as module
from kit.data.predictions import Predictions, Provenance, common_ids, ids_fingerprint, provenance_of
from kit.errors import InvalidError
from kit.kinds.targets import MULTI_HOT, ONE_CLASS


def new_predictions(ids: list[str], rows: list[list[float]], folds: list[int] | None = None) -> Predictions:
    return Predictions(
        np.array(ids, dtype=str),
        np.array(folds or [0] * len(ids)),
        ("cat", "dog"),
        np.array(rows, dtype=np.float32),
        Provenance(rows="oof", views="d4", checkpoints={"0": "0012:ab"}),
    )


@pytest.fixture
def predictions() -> Predictions:
    return new_predictions(["007", "1e5", "NA"], [[0.25, 0.75], [1, 0], [0.5, 0.5]], [1, 0, 1])


def test_what_is_written_is_read_to_the_bit(predictions: Predictions, tmp_path: Path) -> None:
    predictions.write(tmp_path / "deep" / "oof.parquet")
    read = Predictions.read(tmp_path / "deep" / "oof.parquet")
    assert read.ids.tolist() == ["007", "1e5", "NA"]
    assert read.folds.tolist() == [1, 0, 1]
    assert read.folds.dtype == np.int64
    assert read.classes == ("cat", "dog")
    assert read.provenance == predictions.provenance
    assert read.probabilities.dtype == np.float32
    assert (read.probabilities == predictions.probabilities).all()


def test_the_same_predictions_give_the_same_bytes(predictions: Predictions, tmp_path: Path) -> None:
    predictions.write(tmp_path / "a.parquet")
    predictions.write(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_other_tools_find_ids_folds_and_a_float32_column_a_class(
    predictions: Predictions, tmp_path: Path
) -> None:
    predictions.write(tmp_path / "oof.parquet")
    schema = parquet.read_schema(tmp_path / "oof.parquet")
    assert schema.names == ["id", "fold", "cat", "dog"]
    assert schema.field("dog").type == pyarrow.float32()


def test_a_class_may_be_called_id(predictions: Predictions, tmp_path: Path) -> None:
    replace(predictions, classes=("id", "fold")).write(tmp_path / "oof.parquet")
    read = Predictions.read(tmp_path / "oof.parquet")
    assert read.classes == ("id", "fold")
    assert read.ids.tolist() == ["007", "1e5", "NA"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([np.nan, 0.5], "NaN"),
        ([np.inf, 0], "an infinite value"),
        ([1.5, -0.5], "a negative value"),
        ([0.5, 0.502], "its sum is not 1"),
    ],
)
def test_a_row_that_is_no_distribution_is_named(row: list[float], words: str, tmp_path: Path) -> None:
    bad = new_predictions(["a", "b", "c"], [[0.5, 0.5], row, [0.5, 0.5]])
    with pytest.raises(InvalidError) as caught:
        bad.write(tmp_path / "oof.parquet")
    assert (caught.value.code, caught.value.exit_code) == ("D40", 4)
    assert str(caught.value.cases[0]) == f"{tmp_path / 'oof.parquet'}: row 1, id 'b': {words}"
    assert len(caught.value.cases) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [8, 16, 1000])
def test_files_are_written_checked_and_read_a_row_group_at_a_time(
    size: int, predictions: Predictions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROW_GROUP_BYTES", size)
    predictions.write(tmp_path / "oof.parquet")
    shapes = []

    def empty(shape: tuple[int, int]) -> np.ndarray:
        shapes.append(shape)
        return np.empty(shape, np.float32)

    read = Predictions.read(tmp_path / "oof.parquet", empty)
    assert shapes == [predictions.probabilities.shape]
    assert np.array_equal(read.probabilities, predictions.probabilities)
    assert read.ids.tolist() == predictions.ids.tolist()
    assert provenance_of(tmp_path / "oof.parquet") == predictions.provenance
    with pytest.raises(InvalidError, match="row 2, id 'c': NaN"):
        new_predictions(["a", "b", "c"], [[0.5, 0.5], [0.5, 0.5], [np.nan, 0.5]]).check()


def test_sums_may_be_off_by_rounding() -> None:
    new_predictions(["a"], [[0.5, 0.5009]]).check()


def test_a_file_that_another_tool_damaged_is_refused_on_reading(
    predictions: Predictions, tmp_path: Path
) -> None:
    file = tmp_path / "oof.parquet"
    predictions.write(file)
    table = parquet.read_table(file)
    worse = table.set_column(2, "cat", pyarrow.array([0.25, np.nan, 0.5], pyarrow.float32()))
    parquet.write_table(worse.replace_schema_metadata(table.schema.metadata), file)
    with pytest.raises(InvalidError, match="row 1, id '1e5': NaN"):
        Predictions.read(file)


@pytest.mark.parametrize("content", [b"", b"id,fold\n1,2\n", b"PAR1garbagePAR1"])
def test_a_file_that_is_no_parquet_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "oof.parquet").write_bytes(content)
    with pytest.raises(InvalidError, match="is not a predictions file of kit"):
        Predictions.read(tmp_path / "oof.parquet")


def test_parquet_of_another_tool_is_refused(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"id": ["a"], "p": [1.0]}), tmp_path / "oof.parquet")
    with pytest.raises(InvalidError, match="is not a predictions file of kit"):
        Predictions.read(tmp_path / "oof.parquet")


@pytest.mark.parametrize(
    "meta", [b"[1]", b"{}", b'{"schema": 1}', b'{"schema": "x"}', b'{"schema": 1, "classes": ["cat", "dog"]}']
)
def test_metadata_of_another_shape_are_refused(meta: bytes, predictions: Predictions, tmp_path: Path) -> None:
    predictions.write(tmp_path / "oof.parquet")
    table = parquet.read_table(tmp_path / "oof.parquet").replace_schema_metadata({b"kit": meta})
    parquet.write_table(table, tmp_path / "oof.parquet")
    with pytest.raises(InvalidError, match="D40 .* is not a predictions file of kit"):
        Predictions.read(tmp_path / "oof.parquet")


@pytest.mark.parametrize("column", [["x", "y", "z"], None])
def test_columns_of_another_kind_are_refused(
    column: list[str] | None, predictions: Predictions, tmp_path: Path
) -> None:
    predictions.write(tmp_path / "oof.parquet")
    table = parquet.read_table(tmp_path / "oof.parquet")
    meta, frame = table.schema.metadata, table.to_pandas()
    frame = frame[["id", "fold"]] if column is None else frame.assign(cat=column)
    damaged = pyarrow.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(meta)
    parquet.write_table(damaged, tmp_path / "oof.parquet")
    with pytest.raises(InvalidError, match="D40 .* is not a predictions file of kit"):
        Predictions.read(tmp_path / "oof.parquet")


def test_a_file_of_a_newer_schema_says_so(predictions: Predictions, tmp_path: Path) -> None:
    predictions.write(tmp_path / "oof.parquet")
    table = parquet.read_table(tmp_path / "oof.parquet")
    parquet.write_table(table.replace_schema_metadata({b"kit": b'{"schema": 99}'}), tmp_path / "oof.parquet")
    with pytest.raises(InvalidError, match="has schema 99, and this version of kit reads up to 1"):
        Predictions.read(tmp_path / "oof.parquet")


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match=r"D41 no predictions at .*nowhere\.parquet"):
        Predictions.read(tmp_path / "nowhere.parquet")


def test_an_id_with_two_rows_of_one_fold_is_refused() -> None:
    with pytest.raises(InvalidError, match="D41 1 ids have several rows of one fold"):
        new_predictions(["a", "b", "a"], [[1, 0]] * 3).check()


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidError, match=r"do not match probabilities of shape \(1, 3\)"):
        new_predictions(["a"], [[0.2, 0.3, 0.5]]).check()


def test_the_mean_joins_folds_in_first_seen_order() -> None:
    mean = new_predictions(
        ["b", "a", "b", "a"], [[1, 0], [0.5, 0.5], [0.5, 0.5], [0, 1]], [0, 0, 1, 1]
    ).mean()
    assert mean.ids.tolist() == ["b", "a"]
    assert mean.probabilities.tolist() == [[0.75, 0.25], [0.25, 0.75]]
    assert mean.folds.tolist() == [-1, -1]
    assert mean.provenance.views == "d4"


def test_rows_are_found_by_id(predictions: Predictions) -> None:
    assert predictions.align(["NA", "007", "1e5"]).tolist() == [[0.5, 0.5], [0.25, 0.75], [1, 0]]


def test_missing_and_extra_ids_are_counted_and_named(predictions: Predictions) -> None:
    with pytest.raises(InvalidError, match="1 of 2 ids have no prediction, and 2 predictions") as caught:
        predictions.align(["007", "x"])
    assert [str(case) for case in caught.value.cases] == [
        "x: is missing",
        "1e5: is not needed",
        "NA: is not needed",
    ]
    assert caught.value.code == "D41"


def test_five_examples_of_each_are_kept() -> None:
    many = new_predictions([f"i{n}" for n in range(9)], [[1, 0]] * 9)
    with pytest.raises(InvalidError) as caught:
        many.align([f"x{n}" for n in range(9)])
    assert len(caught.value.cases) == 10


def test_extra_ids_may_be_allowed_but_missing_ones_not(predictions: Predictions) -> None:
    assert predictions.align(["1e5"], allow_extra=True).tolist() == [[1, 0]]
    with pytest.raises(InvalidError, match="1 of 1 ids have no prediction, and 0 predictions"):
        predictions.align(["x"], allow_extra=True)


def test_rows_of_several_folds_are_not_aligned() -> None:
    with pytest.raises(InvalidError, match="average their folds"):
        new_predictions(["a", "a"], [[1, 0], [1, 0]], [0, 1]).align(["a"])


def test_common_ids_do_not_depend_on_the_order_of_members() -> None:
    one, two = new_predictions(["c", "a", "b"], [[1, 0]] * 3), new_predictions(["b", "c", "d"], [[1, 0]] * 3)
    assert common_ids([one, two]).tolist() == common_ids([two, one]).tolist() == ["b", "c"]


def test_a_fingerprint_is_of_the_set_of_ids() -> None:
    assert ids_fingerprint(["a", "b"]) == ids_fingerprint(np.array(["b", "a", "a"])) != ids_fingerprint(["a"])


def test_rows_of_several_labels_need_not_sum_to_one_and_say_so_when_read(tmp_path: Path) -> None:
    several = replace(
        new_predictions(["a", "b", "a"], [[0.9, 0.8], [0, 0], [0.1, 0.2]], [0, 0, 1]), target=MULTI_HOT
    )
    several.write(tmp_path / "oof.parquet")
    read = Predictions.read(tmp_path / "oof.parquet")
    assert read.multi_label
    np.testing.assert_allclose(read.mean().probabilities, [[0.5, 0.5], [0.0, 0.0]])
    assert read.mean().multi_label
    with pytest.raises(InvalidError, match="D40 3 of 3 rows are not probabilities"):
        replace(several, target=ONE_CLASS).check()


@pytest.mark.parametrize(
    ("row", "fault"), [([0.5, 1.5], "a value above 1"), ([-0.1, 0.5], "a negative value")]
)
def test_probabilities_of_several_labels_are_from_zero_to_one(row: list[float], fault: str) -> None:
    with pytest.raises(InvalidError) as caught:
        replace(new_predictions(["a", "b"], [[0.9, 0.8], row]), target=MULTI_HOT).check("x.parquet")
    assert str(caught.value.cases[0]) == f"x.parquet: row 1, id 'b': {fault}"
