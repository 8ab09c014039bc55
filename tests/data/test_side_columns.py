"""Side columns become numbers and categories, and no cell of a test row stops a prediction."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kit.data.image_paths import PathList
from kit.data.side_columns import MAX_CATEGORIES, RARE, encode_columns, guess_kind
from kit.data.table import Table
from kit.errors import ConfigError, DataError


def table(**columns: list[str]) -> Table:
    count = len(next(iter(columns.values())))
    ids = np.array([f"r{row}" for row in range(count)])
    return Table(ids, PathList(()), frame=pd.DataFrame(columns, dtype=str))


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2.5", "", "NA", "-3e2"], "number"),
        (["2020-01-31", "", "2021-12-01 10:00:00"], "date"),
        (["a", "1"], "category"),
        (["", "NA"], "category"),
        (["1", "inf"], "category"),
    ],
)
def test_the_kind_is_read_from_the_cells(cells: list[str], kind: str) -> None:
    assert guess_kind(cells) == kind


def test_numbers_keep_their_value_and_blanks_are_missing() -> None:
    train, test, kinds = encode_columns(table(age=["1", "", "3"]), table(age=["NA", "2"]), ["age"], {})
    assert kinds == {"age": "number"}
    np.testing.assert_array_equal(train["age"], [1, np.nan, 3])
    np.testing.assert_array_equal(test["age"], [np.nan, 2])


def test_a_category_that_no_training_row_has_is_missing() -> None:
    train, test, _ = encode_columns(
        table(site=["arm", "leg", "", "arm"]), table(site=["head", "leg"]), ["site"], {}
    )
    assert list(train["site"].cat.categories) == list(test["site"].cat.categories) == ["arm", "leg"]
    assert train["site"].cat.codes.tolist() == [0, 1, -1, 0]
    assert test["site"].cat.codes.tolist() == [-1, 1]


def test_rare_categories_count_as_one() -> None:
    often = [f"v{number:03d}" for number in range(MAX_CATEGORIES)]
    train, test, _ = encode_columns(
        table(place=[*often, *often, "once", "twice"]), table(place=["once", "v000", "new"]), ["place"], {}
    )
    assert len(train["place"].cat.categories) == MAX_CATEGORIES + 1
    assert test["place"].tolist()[:2] == [RARE, "v000"]
    assert pd.isna(test["place"].tolist()[2])


def test_an_angle_has_no_step_at_360_degrees() -> None:
    train, _, _ = encode_columns(table(hue=["0", "359", "180"]), table(hue=["1"]), ["hue"], {"hue": "angle"})
    points = train[["hue|sin", "hue|cos"]].to_numpy()
    assert np.linalg.norm(points[0] - points[1]) == pytest.approx(2 * np.sin(np.deg2rad(0.5)))
    np.testing.assert_allclose(points[2], [0, -1], atol=1e-12)


def test_a_date_is_its_day_and_its_place_in_the_year() -> None:
    train, _, _ = encode_columns(table(day=["1970-01-02", "1971-01-01", ""]), table(day=[""]), ["day"], {})
    np.testing.assert_allclose(train["day"], [1, 365, np.nan])
    assert train["day|cos"][1] == pytest.approx(np.cos(2 * np.pi * 365 / 365.2425))


def test_a_column_that_a_table_lacks_is_an_error() -> None:
    with pytest.raises(
        ConfigError, match="the test table has no column 'age'; did you mean 'aged'"
    ) as caught:
        encode_columns(table(age=["1"]), table(aged=["1"]), ["age"], {})
    assert caught.value.code == "C07"


def test_a_cell_of_another_kind_is_an_error_with_its_id() -> None:
    with pytest.raises(DataError, match="1 cells are no number") as caught:
        encode_columns(table(age=["1", "2"]), table(age=["1", "old"]), ["age"], {})
    assert [case.id for case in caught.value.cases] == ["r1"]
    assert '"age":"category"' in caught.value.hint
    encode_columns(table(age=["1", "2"]), table(age=["1", "old"]), ["age"], {"age": "category"})


def test_without_test_rows_the_training_rows_alone_are_encoded() -> None:
    train, test, _ = encode_columns(table(age=["1"]), table(age=[]), ["age"], {})
    assert (train.shape, len(test)) == ((1, 1), 0)
