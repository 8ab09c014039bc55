"""Side columns for a network: scaled as scikit-learn does, fitted on training rows alone; no test cell is an error."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from kit.config.models import Data
from kit.data.column_encoder import MAX_SCALED, ColumnEncoder, check_columns, columns_digest
from kit.data.image_paths import PathList
from kit.data.side_columns import ColumnKind
from kit.data.table import Table
from kit.errors import ConfigError, DataError, KitWarning


def table(**columns: list[str]) -> Table:
    count = len(next(iter(columns.values())))
    ids = np.array([f"r{row}" for row in range(count)])
    return Table(ids, PathList(()), frame=pd.DataFrame(columns, dtype=str))


def encode(
    train: list[str], test: list[str], kind: ColumnKind, learns_missing: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Side values of all training rows and all test rows of a single column."""
    tables = table(x=train), table(x=test)
    encoder = ColumnEncoder.fit(tables[0], np.arange(len(train)), ["x"], {"x": kind}, learns_missing)
    first, second = (encoder.encode(each, "test").of(np.arange(len(each))) for each in tables)
    return first, second


def test_numbers_are_scaled_and_filled_as_scikit_learn_does() -> None:
    train, test = ["1", "", "3.5", "-2", "NA"], ["7", "", "0.25"]
    reference = make_pipeline(
        StandardScaler(), SimpleImputer(strategy="constant", fill_value=0, add_indicator=True)
    )
    numbers = [
        np.array([[float(cell) if cell not in ("", "NA") else np.nan] for cell in each])
        for each in (train, test)
    ]
    reference.fit(numbers[0])
    for columns, given in zip(encode(train, test, "number"), numbers, strict=True):
        np.testing.assert_allclose(columns, reference.transform(given), atol=1e-6)


def test_categories_are_those_of_scikit_learns_encoder() -> None:
    train = ["arm"] * 4 + ["leg"] * 5 + ["toe"] * 2 + ["ear"]
    test = ["leg", "ear", "toe", "arm"]
    reference = OneHotEncoder(min_frequency=3, handle_unknown="ignore", sparse_output=False)
    reference.fit(np.array(train)[:, None])
    for columns, given in zip(encode(train, test, "category"), (train, test), strict=True):
        np.testing.assert_array_equal(columns[:, :-1], reference.transform(np.array(given)[:, None]))


def test_a_category_that_no_training_row_has_is_all_zeros_and_never_an_error() -> None:
    columns = encode(["a", "b"] * 3, ["never seen", ""], "category", learns_missing=True)[1]
    np.testing.assert_array_equal(columns, [[0, 0, 0], [0, 0, 1]])


def test_a_new_category_counts_as_rare_where_training_shows_rare_ones() -> None:
    columns = encode(["a"] * 3 + ["once"], ["new"], "category")[1]
    np.testing.assert_array_equal(columns, [[0, 1, 0]])


def test_angles_dates_and_coordinates_are_points_of_a_circle() -> None:
    np.testing.assert_allclose(
        encode(["0", "90"], ["360", "-90"], "angle")[1][:, :2], [[0, 1], [-1, 0]], atol=1e-6
    )
    np.testing.assert_allclose(encode(["10", "20"], ["-90", "30"], "latitude")[1][:, 0], [-1, 0.5], atol=1e-6)
    columns = encode(["2020-01-01", "2020-01-03"], ["2020-01-02"], "date")[1][0]
    # days since 1970 of 2 January 2020: the middle of both, so it is 0 scaled
    day = 2 * np.pi * 18263 / 365.2425
    np.testing.assert_allclose(columns, [0, np.sin(day), np.cos(day), 0], atol=1e-5)


def test_the_flag_of_missing_cells_is_set_only_if_training_shows_it() -> None:
    """Otherwise its weights are random, and a mean is the better guess."""
    assert encode(["1", "2"], [""], "number")[1].tolist() == [[0, 0]]
    assert encode(["1", "2"], [""], "number", learns_missing=True)[1].tolist() == [[0, 1]]


def test_only_the_rows_of_the_fold_are_fitted_on() -> None:
    whole = table(x=["1", "3", "1000", "1000"], site=["a", "a", "a", "held out"])
    encoder = ColumnEncoder.fit(whole, np.array([0, 1]), ["x", "site"], {}, False)
    assert (encoder.columns[0].mean, encoder.columns[0].deviation) == (2.0, 1.0)
    assert "held out" not in encoder.columns[1].values


def test_odd_test_cells_are_missing_with_a_warning_and_outliers_are_limited() -> None:
    with pytest.warns(KitWarning, match="W87 .* x 3"):
        columns = encode(["1", "2", ""], ["much", "inf", "-inf", "1e300"], "number")[1]
    np.testing.assert_array_equal(columns, [[0, 1], [0, 1], [0, 1], [MAX_SCALED, 0]])


def test_constant_and_empty_columns_are_zeros() -> None:
    for cells in (["0.1", "0.1", "0.1"], ["", "", ""]):
        train, test = encode(cells, ["5", ""], "number")
        assert not train[:, 0].any()
        assert not test[:, 0].any()


def test_it_is_the_same_after_json() -> None:
    whole = table(x=["1", "3", ""], site=["a", "b", "b"], day=["2020-01-01", "2021-05-05", ""])
    encoder = ColumnEncoder.fit(whole, np.arange(3), ["x", "site", "day"], {}, True)
    again = ColumnEncoder.from_json(encoder.to_json())
    assert again == encoder
    np.testing.assert_array_equal(
        again.encode(whole, "test").of(np.arange(3)), encoder.encode(whole, "test").of(np.arange(3))
    )
    with pytest.raises(ValueError, match="kind"):
        ColumnEncoder.from_json([{**encoder.to_json()[0], "kind": "shell"}])


def test_the_digest_depends_on_cells_and_their_order() -> None:
    assert columns_digest(table(x=["1", "2"]), ["x"], "test") != columns_digest(
        table(x=["2", "1"]), ["x"], "test"
    )
    assert columns_digest(table(x=["1", "2"]), [], "test") == ""


ROWS = 30
NAMES = [f"note {row}" for row in range(ROWS)]


@pytest.mark.parametrize(
    ("columns", "names", "error", "code", "said"),
    [
        ({"x": ["1"] * ROWS}, [], ConfigError, "C86", "data.columns names none"),
        ({"x": ["1"] * ROWS}, ["id"], ConfigError, "C86", "'id', which is the id"),
        ({"x": ["1"] * ROWS}, ["label"], ConfigError, "C86", "'label', which is the label"),
        ({"x": ["1"] * ROWS}, ["y"], ConfigError, "C07", "the train table has no column 'y'"),
        ({"x": NAMES}, ["x"], DataError, "D91", "30 different texts in 30 rows"),
        ({"x": ["1.5"] * (ROWS - 1) + ["inf"]}, ["x"], DataError, "D31", "no finite number"),
    ],
)
def test_columns_that_cannot_be_used_are_named_before_training(
    columns: dict[str, list[str]], names: list[str], error: type[Exception], code: str, said: str
) -> None:
    with pytest.raises(error, match=said) as raised:
        check_columns(table(**columns), None, Data(columns=tuple(names)))
    assert raised.value.code == code  # type: ignore[attr-defined]


def test_a_column_that_the_test_table_lacks_is_named() -> None:
    with pytest.raises(ConfigError, match="the test table has no column 'x'"):
        check_columns(table(x=["1", "2"]), table(z=["1"]), Data(columns=("x",)))


def test_cells_of_another_kind_than_asked_for_are_named() -> None:
    data = Data(columns=("x",), column_kinds={"x": "latitude"})
    with pytest.raises(DataError, match="no finite latitude"):
        check_columns(table(x=["45", "91"]), None, data)


def test_constant_columns_are_a_warning_and_others_none() -> None:
    with pytest.warns(KitWarning, match=r"W88 .* a \(always '3'\), b \(all cells are empty\)"):
        check_columns(table(a=["3"] * 4, b=[""] * 4), None, Data(columns=("a", "b")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_columns(table(a=["3", "4"]), table(a=["", "x"]), Data(columns=("a",)))
