"""A table with a row for each id and class becomes a row for each id, as pandas pivots it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.config.models import Data, LongTable
from kit.data.csv_file import CsvFile
from kit.data.long_rows import find_endings, widen
from kit.errors import ConfigError, DataError

CLASSES = ("any", "epidural")


def table(columns: str, *rows: str) -> CsvFile:
    cells = tuple(tuple(row.split(",")) for row in rows)
    return CsvFile(Path("train.csv"), tuple(columns.split(",")), cells, range(2, len(rows) + 2))


def data(**long: object) -> Data:
    return Data(id="ID", long=LongTable(classes=CLASSES, **{"value_column": "p", **long}))


def test_cells_of_id_and_class_become_columns() -> None:
    file = table("ID,place,p", "b_any,x,1", "a_b_epidural,y,2", "b_epidural,x,3", "a_b_any,y,4")
    wide = widen(file, data(), "train").frame()
    pairs = file.frame()["ID"].str.rsplit("_", n=1, expand=True)
    pivoted = file.frame().assign(ID=pairs[0], c=pairs[1]).pivot(index="ID", columns="c", values="p")
    assert wide.set_index("ID")[list(CLASSES)].sort_index().to_numpy().tolist() == pivoted.to_numpy().tolist()
    assert wide.columns.tolist() == ["ID", "place", *CLASSES]
    assert wide["place"].tolist() == ["x", "y"]


def test_classes_may_have_a_column() -> None:
    file = table("ID,c,p", "b,any,1", "b,epidural,0", "a,epidural,1", "a,any,0")
    wide = widen(file, data(class_column="c"), "train")
    assert wide.columns == ("ID", *CLASSES)
    assert wide.rows == (("b", "1", "0"), ("a", "0", "1"))


def test_a_test_table_needs_no_values_and_may_be_wide() -> None:
    assert widen(table("ID,path", "b_any,x", "b_epidural,x"), data(), "test").rows == (("b", "x"),)
    wide = table("ID,path", "b,x", "a,y")
    assert widen(wide, data(), "test") is wide
    table_of_train = table("ID,any,epidural", "b,0,1")
    assert widen(table_of_train, data(), "train") is table_of_train


def test_an_id_without_a_class_or_with_one_twice_is_an_error() -> None:
    file = table("ID,p", "b_any,1", "a_any,0", "a_epidural,0", "a_any,1")
    with pytest.raises(
        DataError, match="D88 train.csv: 2 ids have not one row for each of the 2 classes"
    ) as error:
        widen(file, data(), "train")
    assert [str(case) for case in error.value.cases] == [
        "b: has no row of epidural",
        "a: has several rows of any",
    ]


def test_rows_of_other_classes_and_unknown_columns_are_errors() -> None:
    with pytest.raises(ConfigError, match="C07 data.long: train.csv has no rows of the 2 classes"):
        widen(table("ID,p", "b_other,1", "b_any,1"), data(), "train")
    with pytest.raises(ConfigError, match="C07 data.long.value_column: train.csv has no column 'q'"):
        widen(table("ID,p", "b_epidural,1", "b_any,1"), data(value_column="q"), "train")


@pytest.mark.parametrize(
    ("cells", "endings"),
    [
        (["ID_1_a_b", "ID_1_c", "ID_2_c", "ID_2_a_b"], ("_", ("a_b", "c"))),
        (["x__a", "x__b", "y__a", "y__b"], ("__", ("a", "b"))),
        (["x_a", "x_b", "y_a", "y_c"], None),
        (["a", "b", "c", "d"], None),
        (["x_a", "x_b", "x_c", "x_d"], None),
    ],
)
def test_endings_are_found_where_each_id_has_each_of_them(
    cells: list[str], endings: tuple[str, tuple[str, ...]] | None
) -> None:
    assert find_endings(cells) == endings
