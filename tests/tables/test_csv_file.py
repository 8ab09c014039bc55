"""Reading a CSV: nothing is guessed, nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.config import Data
from kit.errors import ConfigError, DataError
from kit.tables.csv_file import CsvFile, read_csv


def read(folder: Path, content: bytes | str, sep: str = ",", encoding: str = "utf-8") -> CsvFile:
    file = folder / "train.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_csv(file, sep, encoding)


def refused(folder: Path, content: bytes | str, **options: str) -> DataError:
    with pytest.raises(DataError) as caught:
        read(folder, content, **options)
    return caught.value


def test_every_cell_is_the_text_that_stands_there(tmp_path: Path) -> None:
    cells = ["007", "1e5", "NA", "null", "True", "", " x ", "nan", "1.0", "ÿ"]
    frame = read(tmp_path, "id,label\n" + "".join(f"{cell},a\n" for cell in cells)).frame()
    assert frame["id"].tolist() == cells
    assert list(frame.columns) == ["id", "label"]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfid,label\nx,a\ny,b\n",
        b"id,label\r\nx,a\r\ny,b\r\n",
        b"id,label\rx,a\ry,b\r",
        b"id,label\nx,a\ny,b",
        b"id,label\nx,a\ny,b\n\n\n",
        b"id,label\nx,a\n\ny,b\n",
        b'"id","label"\n"x","a"\n"y","b"\n',
    ],
)
def test_marks_and_line_ends_do_not_matter(tmp_path: Path, content: bytes) -> None:
    file = read(tmp_path, content)
    assert file.columns == ("id", "label")
    assert file.rows == (("x", "a"), ("y", "b"))


def test_quoted_separators_and_line_ends_belong_to_the_cell(tmp_path: Path) -> None:
    assert read(tmp_path, 'id,label\n"a,b","c\nd"\n').rows == (("a,b", "c\nd"),)


@pytest.mark.parametrize(
    ("content", "likely"),
    [
        ("id,label\nx,é\n".encode("utf-16"), "utf-16"),
        ("id,label\nx,é\n".encode("utf-16-le"), "utf-16-le"),
        ("id,label\nx,é\n".encode("cp1252"), "cp1252"),
        (b"id,label\nx,\x81\n", "latin-1"),
    ],
)
def test_another_encoding_is_named_and_then_read(tmp_path: Path, content: bytes, likely: str) -> None:
    error = refused(tmp_path, content)
    assert error.code == "D25"
    assert f"not UTF-8 (looks like {likely})" in error.summary
    assert "data.encoding" in error.hint
    assert read(tmp_path, content, encoding=likely).columns == ("id", "label")


def test_an_encoding_that_does_not_exist_is_the_configs_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no encoding named 'utf-9'"):
        read(tmp_path, "id\nx\n", encoding="utf-9")


@pytest.mark.parametrize("sep", [";", "\t", "|"])
def test_another_separator_is_named_and_then_read(tmp_path: Path, sep: str) -> None:
    content = f"id{sep}label\nx{sep}a\n"
    error = refused(tmp_path, content)
    assert error.code == "D26"
    assert f"found 1 column {f'id{sep}label'!r}: set data.sep" in error.summary
    assert read(tmp_path, content, sep=sep).rows == (("x", "a"),)
    key, _, quoted = error.hint.partition("=")
    assert key == "data.sep"
    assert Data.model_validate({"sep": quoted.strip("'")}).sep == sep  # the hint as a shell hands it over


def test_rows_of_another_length_are_listed(tmp_path: Path) -> None:
    error = refused(tmp_path, "id,label\nx,a\ny,b,c\nz\n")
    assert error.code == "D27"
    assert [case.detail for case in error.cases] == [
        "row 3 has 3 fields, header has 2",
        "row 4 has 1 field, header has 2",
    ]


def test_a_quote_left_open_is_told(tmp_path: Path) -> None:
    assert refused(tmp_path, 'id,label\n"x,a\n').code == "D27"


@pytest.mark.parametrize(
    ("header", "words"),
    [("id,id", "'id' is there 2 times"), ("id, label", "' label' has blanks around it")],
)
def test_double_and_padded_column_names_are_refused(tmp_path: Path, header: str, words: str) -> None:
    error = refused(tmp_path, f"{header}\nx,a\n")
    assert error.code == "D28"
    assert words in str(error)


@pytest.mark.parametrize("content", ["", "\n", "id,label\n", "id,label"])
def test_a_table_without_rows_is_refused(tmp_path: Path, content: str) -> None:
    assert refused(tmp_path, content).code == "D29"


def test_a_table_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "trains.csv").write_text("id\nx\n")
    with pytest.raises(DataError, match=r"did you mean 'trains\.csv'") as caught:
        read_csv(tmp_path / "train.csv")
    assert caught.value.code == "D21"


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a directory"):
        read_csv(tmp_path)


def test_a_column_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'label'"):
        read(tmp_path, "id,label\nx,a\n").column("lable")
