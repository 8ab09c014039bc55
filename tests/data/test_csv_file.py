"""Reading a CSV: nothing is guessed, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kit.config.models import Data
from kit.data.csv_file import CsvFile, read_csv
from kit.data.table import sample_frame, test_table, train_table
from kit.errors import ConfigError, DataError
from kit.stages.discovery.discover import discover
from tests.drawn_tables import FILES, IMAGES, PLAIN, SAMPLE, TRAIN, csv, make, usual


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
@pytest.mark.parametrize(
    "rows", ["id{0}label\nx{0}a\n", '"id"{0}"label"\n"x"{0}"a"\n', '"id"{0}label\nx{0}"a"\n']
)
def test_another_separator_is_named_and_then_read(tmp_path: Path, sep: str, rows: str) -> None:
    content = rows.format(sep)
    error = refused(tmp_path, content)
    assert error.code == "D26"
    assert f"found 1 column {content.partition(chr(10))[0]!r}: set data.sep" in error.summary
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


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('id,label\n"x,a\n', "a quote opens on line 2 and is never closed"),
        ('id,label\r\n"y\r\nz","b ""c"""\r\nx,"a\r\nw,a\r\n', "a quote opens on line 4 and is never closed"),
        ('sep=,\nid,label\nx,"a', "a quote opens on line 3 and is never closed"),
        ('id,label\nx,"a" b\n', "row 2: text follows the closing quote of a cell"),
        (
            'id,label\n"x,a\ny,b\nz"w,c\n',
            "row 4: text follows the closing quote of a cell that opens on line 2",
        ),
    ],
)
def test_a_stray_quote_is_reported_with_the_line_where_it_opens(
    tmp_path: Path, content: str, words: str
) -> None:
    error = refused(tmp_path, content)
    assert error.code == "D27"
    assert error.summary.endswith(words)


def test_a_quote_that_is_never_closed_is_found_in_a_large_file(tmp_path: Path) -> None:
    rows = "y,dog\n" * 50_000  # more characters than csv takes in one cell by default
    assert (
        "a quote opens on line 2 and is never closed"
        in refused(tmp_path, f'id,label\nx,"cat\n{rows}').summary
    )
    long = "1 2 " * 50_000
    assert read(tmp_path, f"id,rle\nx,{long}\n").rows == (("x", long),)


def test_excels_separator_line_is_no_row(tmp_path: Path) -> None:
    for content in (b"sep=;\nid;label\nx;a\n", b'\xef\xbb\xbf"sep=;"\r\n"id";"label"\r\n"x";"a"\r\n'):
        error = refused(tmp_path, content)
        assert (error.code, error.hint) == ("D26", "data.sep=';'")
        file = read(tmp_path, content, sep=";")
        assert (file.columns, file.rows, list(file.lines)) == (("id", "label"), (("x", "a"),), [3])


def test_a_doubled_header_is_reported_with_its_lines(tmp_path: Path) -> None:
    error = refused(tmp_path, 'id,label\n"id","label"\nx,a\nid,label\ny,b\n')
    assert error.code == "D72"
    assert error.summary.endswith("repeats its header on lines 2, 4")
    assert refused(tmp_path, "id\nid\nx\n").code == "D72"
    assert read(tmp_path, "name\nx\nname\n").rows == (("x",), ("name",))  # a class may have any name


def test_byte_order_marks_are_no_part_of_a_cell(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    assert read(tmp_path, mark + mark + b"id,label\nx,a\n").columns == ("id", "label")
    for second in (b"id,label\ny,b\n", b"y,b\n"):
        error = refused(tmp_path, mark + b"id,label\nx,a\n" + mark + second)
        assert error.code == "D72"
        assert error.summary.endswith("was joined from several files: row 3 begins with a byte-order mark")


def test_nul_bytes_are_reported_with_their_line(tmp_path: Path) -> None:
    error = refused(tmp_path, b"id,label\r\nx,a\r\ny,\0\0b\r\n")
    assert error.code == "D71"
    assert error.summary.endswith("has 2 NUL bytes, the first on line 3")


def test_lines_are_the_files_own(tmp_path: Path) -> None:
    file = read(tmp_path, '\r\nid,text\r\nx,a\r\n\r\ny,"b\r\nc"\r\nz,d\r\n\r\n')
    assert list(file.lines) == [3, 6, 7]
    assert dict(file.begun) == {1: 5}
    assert read(tmp_path, "id\n\nx\n\n").rows == (("",), ("x",))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("id,id", "'id' occurs 2 times"),
        ("id, label", "' label' has surrounding blanks"),
        ("id,label\u200b", "'label\\u200b' has surrounding blanks"),
        ('id,"label\nx"', "has a line break: is a quote on line 1 not closed?"),
    ],
)
def test_double_and_padded_column_names_are_refused(tmp_path: Path, header: str, words: str) -> None:
    error = refused(tmp_path, f"{header}\nx,a\n")
    assert error.code == "D28"
    assert words in str(error)


@pytest.mark.parametrize("content", ["", "\n", "id,label\n", "id,label"])
def test_a_table_without_rows_is_refused(tmp_path: Path, content: str) -> None:
    assert refused(tmp_path, content).code == "D29"


def test_a_table_that_is_not_there_is_reported_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "trains.csv").write_text("id\nx\n")
    with pytest.raises(DataError, match=r"did you mean 'trains\.csv'") as caught:
        read_csv(tmp_path / "train.csv")
    assert caught.value.code == "D21"


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a directory"):
        read_csv(tmp_path)


def test_a_column_that_is_not_there_is_reported_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'label'"):
        read(tmp_path, "id,label\nx,a\n").column("lable")


HASHES = ("0a1f3c5d7e", "f38a6374c3", "9b77d41c02", "0c4de99a81")
PLAIN_IDS = ("apple", "berry", "cherry", "damson")


def headless(root: Path, names: tuple[str, ...], which: str) -> Path:
    """A competition of a few rows, one of whose tables starts with its first row."""
    train = [f"{name},{label}" for name, label in zip(names, ("cat", "dog", "cat", "dog"), strict=True)]
    tests = [f"x{name}" for name in names]
    sample = [f"{name},cat" for name in tests]
    meta = [f"{name},{number}" for number, name in enumerate(tests)]
    rows = {
        "train.csv": ("id,label", train),
        "sample.csv": ("id,label", sample),
        "test.csv": ("id,width", meta),
    }
    files = {name: csv(*body) if name == which else csv(head, *body) for name, (head, body) in rows.items()}
    stems = [name.removesuffix(".jpg") for name in (*names, *tests)]
    return make(root, files, [f"images/{stem}.jpg" for stem in stems])


IDS = {
    "numbers": ("1", "20", "300", "4000"),
    "a prefix": ("img_1", "img_20", "img_300", "img_4000"),
    "hashes": HASHES,
    "file names": ("a.jpg", "b.jpg", "c.jpg", "d.jpg"),
    "words": PLAIN_IDS,
}


@pytest.mark.parametrize("names", IDS.values(), ids=IDS)
@pytest.mark.parametrize("which", ["train.csv", "sample.csv", "test.csv"])
def test_a_table_without_a_header_stops_kit_init(names: tuple[str, ...], which: str, tmp_path: Path) -> None:
    root = headless(tmp_path, names, which)
    given = {"train": "train.csv", "sample": "sample.csv", "test": "test.csv"}
    with pytest.raises(DataError, match=rf"{which} has no header: its first line is a row") as caught:
        discover(root, given)
    assert (caught.value.code, caught.value.exit_code) == ("D28", 3)
    assert "insert a first line" in caught.value.hint


@pytest.mark.parametrize("names", IDS.values(), ids=IDS)
@pytest.mark.parametrize(
    ("which", "read"),
    [
        ("train.csv", lambda root, data: train_table(root, data)),
        ("test.csv", lambda root, data: test_table(root, data, ())),
        ("sample.csv", lambda root, data: test_table(root, data.model_copy(update={"test": None}), ())),
    ],
)
def test_a_config_that_names_such_a_table_stops_too(
    names: tuple[str, ...], which: str, read: Callable[[Path, Data], object], tmp_path: Path
) -> None:
    root = headless(tmp_path, names, which)
    data = Data(train="train.csv", test="test.csv", sample="sample.csv", images="images/{id}")
    with pytest.raises(DataError, match=f"^D28 .*{which} has no header"):
        read(root, data)
    with_first = data.model_copy(update={"id": names[0]})
    if which == "train.csv":
        with pytest.raises(DataError, match=f"^D28 .*{which} has no header"):
            read(root, with_first)


def test_a_sample_without_a_header_is_refused_where_only_its_ids_are_read(tmp_path: Path) -> None:
    make(tmp_path, {"sample.csv": csv("t001,cat", "t002,cat")})
    with pytest.raises(DataError, match="'t001' looks like the ids below it, such as 't002'"):
        sample_frame(tmp_path, PLAIN)


@pytest.mark.parametrize(
    "header",
    ["id,label", "image_id,label", "ID,target", "x1,label", "sha256,label", ",label", "Image,Id", "0,label"],
)
def test_a_header_is_no_row(header: str, tmp_path: Path) -> None:
    name = header.partition(",")[0]
    label = header.partition(",")[2]
    files = {"train.csv": TRAIN.replace("id,label", header), "sample.csv": SAMPLE.replace("id,label", header)}
    data = PLAIN.model_copy(update={"id": name, "label": label})
    make(tmp_path, {**FILES, **files}, IMAGES)
    assert len(train_table(tmp_path, data)) == 2
    assert len(sample_frame(tmp_path, data)) == 2


def test_other_tables_without_a_header_are_named_and_stop_nothing(tmp_path: Path) -> None:
    usual(tmp_path)
    make(tmp_path, {"extra.csv": csv("a000,3", "a001,4", "a002,5")})
    findings = discover(tmp_path).findings
    assert any(line.startswith("extra.csv has no header: 'a000'") for line in findings)


@pytest.mark.parametrize("name", ["train.csv", "sample_submission.csv"])
def test_numbers_as_names_of_columns_are_a_row(name: str, tmp_path: Path) -> None:
    usual(tmp_path)
    rows = [f"{row},0,1,0" for row in ("a000", "a001", "a002")]
    make(tmp_path, {name: csv(*rows), "extra/old.csv": csv(*rows)})
    with pytest.raises(DataError, match=f"{name} has no header: its first line is a row") as caught:
        discover(tmp_path)
    assert caught.value.code == "D28"
    assert [case.detail for case in caught.value.cases] == ["'0' occurs 2 times"]
