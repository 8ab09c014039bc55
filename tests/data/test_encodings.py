"""Encodings of tables: UTF-8 beside the config's, marks, and what cannot be decoded."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import subprocess
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from kit.data.csv_file import CsvFile, read_csv, read_submission
from kit.errors import ConfigError, DataError, KitWarning

TEXT = "id,label\n1,caf\u00e9\n2,na\u00efve\n"


def read(folder: Path, content: bytes, encoding: str = "utf-8") -> CsvFile:
    (folder / "train.csv").write_bytes(content)
    return read_csv(folder / "train.csv", encoding=encoding)


def refused(folder: Path, content: bytes, encoding: str = "utf-8") -> DataError:
    with pytest.raises(DataError) as caught:
        read(folder, content, encoding)
    return caught.value


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp1251", "utf-16"])
def test_a_utf_8_table_beside_others_is_read_as_utf_8_and_said_so(encoding: str, tmp_path: Path) -> None:
    with pytest.warns(
        KitWarning, match=f"W55 .*train.csv is UTF-8, but data.encoding is {encoding}: kit reads it as UTF-8"
    ):
        assert [row[1] for row in read(tmp_path, TEXT.encode(), encoding).rows] == ["caf\u00e9", "na\u00efve"]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "cp949", "shift_jis"])
def test_ascii_needs_no_word_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(tmp_path, b"id,label\n1,cat\n", encoding).rows == (("1", "cat"),)


def test_a_table_is_read_in_the_configs_encoding(tmp_path: Path) -> None:
    for encoding in ("cp1252", "utf-16", "utf-16-le", "utf-32", "utf-8-sig"):
        assert read(tmp_path, TEXT.encode(encoding), encoding).rows[0] == ("1", "caf\u00e9")
    korean = "id,label\n1,\uace0\uc591\uc774\n"
    assert read(tmp_path, korean.encode("cp949"), "cp949").rows == (("1", "\uace0\uc591\uc774"),)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (TEXT, "utf-16"),
        (TEXT, "utf-16-le"),
        (TEXT, "utf-16-be"),
        (TEXT, "utf-32"),
        (TEXT, "utf-32-le"),
        ("id,label\n1,\u732b\n2,\u72ac\u72ac\n", "utf-16-le"),
    ],
)
def test_two_bytes_a_character_are_known_by_a_mark_or_by_their_nuls(
    text: str, encoding: str, tmp_path: Path
) -> None:
    for declared in ("utf-8", "cp1252"):
        error = refused(tmp_path, text.encode(encoding), declared)
        assert (error.code, error.hint) == ("D25", f"data.encoding={encoding}")
    assert read(tmp_path, text.encode(encoding), encoding).columns == ("id", "label")


@pytest.mark.parametrize(
    "content", [b"id,label\n1,c\0t\n", b"id,label\n1,cat\n" + b"\0" * 64, b"\0\0\0\0id\n1\n"]
)
def test_nuls_elsewhere_are_damage_and_no_utf_16(content: bytes, tmp_path: Path) -> None:
    assert refused(tmp_path, content).code == "D71"


def test_the_line_of_a_byte_that_is_no_utf_8_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path, TEXT.encode("cp1252"))
    assert error.summary.endswith("is not UTF-8 (looks like cp1252), line 2 has the byte 0xE9")


@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        ("\uace0\uc591\uc774 \uac15\uc544\uc9c0", "cp949"),
        ("\u732b\u548c\u72d7", "gb18030"),
        ("\u30cd\u30b3 \u30a4\u30cc", "cp932"),
        ("\u8c93\u548c\u72d7", "big5"),
        ("\u043a\u043e\u0448\u043a\u0430", "cp1251"),
    ],
)
def test_text_of_another_script_is_shown_in_the_encodings_it_may_be_in(
    words: str, encoding: str, tmp_path: Path
) -> None:
    content = f"id,label\n1,{words}\n".encode(encoding)
    error = refused(tmp_path, content)
    assert encoding in error.summary
    assert (error.code, error.hint[:17]) == ("D25", "set data.encoding")
    assert {case.path: case.detail for case in error.cases}[f"data.encoding={encoding}"] == repr(f"1,{words}")
    assert read(tmp_path, content, encoding).rows == (("1", words),)


@pytest.mark.parametrize(
    "words", ["caf\u00e9", "na\u00efve \u2014 \u201cx\u201d", "Gr\u00f6\u00dfe", "\u0160koda \u017divot"]
)
def test_western_text_is_cp1252(words: str, tmp_path: Path) -> None:
    assert refused(tmp_path, f"id,label\n1,{words}\n".encode("cp1252")).hint == "data.encoding=cp1252"


@pytest.mark.parametrize("encoding", ["punycode", "idna", "undefined", "rot13", "base64", "", "x\0"])
def test_what_is_no_encoding_of_text_is_the_configs_fault(encoding: str, tmp_path: Path) -> None:
    for content in (b"id\nx\n", b"id\n\xff\n"):
        (tmp_path / "train.csv").write_bytes(content)
        with pytest.raises(ConfigError, match="C07"):
            read_csv(tmp_path / "train.csv", encoding=encoding)


def test_one_damaged_character_among_good_ones_is_no_other_encoding(tmp_path: Path) -> None:
    error = refused(tmp_path, TEXT.encode() + "3,\u00fc".encode()[:-1] + b"\n")
    assert error.code == "D25"
    assert error.summary.endswith("is UTF-8 with 1 damaged character, line 4 has the byte 0xC3")
    assert "data.encoding" not in error.hint


def test_a_table_that_is_cut_within_a_character_is_not_whole(tmp_path: Path) -> None:
    error = refused(tmp_path, TEXT.encode("utf-16")[:-1], "utf-16")
    assert (error.code, error.hint) == ("D25", "download the file again")


def test_a_submission_is_utf_8_before_it_is_anything_else(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes(TEXT.encode())
    for encoding in ("cp1252", "gb18030", "utf-16"):
        assert read_submission(tmp_path / "mine.csv", ",", encoding).rows[0] == ("1", "caf\u00e9")
    (tmp_path / "mine.csv").write_bytes(TEXT.encode("cp1252"))
    assert read_submission(tmp_path / "mine.csv", ",", "cp1252").rows[0] == ("1", "caf\u00e9")


TABLE = pd.DataFrame({"id": ["007", "x"], "label": ["0", "1"]})
CSV = TABLE.to_csv(index=False).encode()
ROWS = (("007", "0"), ("x", "1"))


def zipped(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, CSV)
    return content.getvalue()


def tarred() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("train.csv"))
    return content.getvalue()


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    content = io.BytesIO()
    write(content)
    return content.getvalue()


def in_words(value: object) -> str:
    """A test's id without the content's bytes: gzip and zip write the time into them."""
    return value if isinstance(value, str) else type(value).__name__


def refused_as_other(folder: Path, content: bytes) -> DataError:
    (folder / "train.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_csv(folder / "train.csv")
    return caught.value


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (zipped("a.csv", "b.csv"), "a zip archive (of a.csv, b.csv)"),
        (zipped("a.csv")[:60], "an incomplete zip archive"),
        (zipped(), "an empty zip archive"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook (.xlsx)"),
        (zipped("[Content_Types].xml", "xl/workbook.xml")[:90], "an incomplete Excel workbook"),
        (zipped("mimetype", "content.xml"), "a spreadsheet (OpenDocument or Numbers)"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "an Excel workbook (.xls)"),
        (gzip.compress(CSV), "a gzip file"),
        (bz2.compress(CSV), "a bzip2 file"),
        (lzma.compress(CSV), "an xz file"),
        (tarred(), "a tar archive"),
        (written(TABLE.to_parquet), "a parquet file"),
        (written(TABLE.to_feather), "an Arrow file"),
        (pickle.dumps([1, 2]), "a Python pickle"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "a JPEG image"),
        (bytes(range(256)) * 8, "binary data"),
        (
            b"\n<!DOCTYPE html><html><head><title>Log in |\n Kaggle</title>",
            "an HTML page ('Log in | Kaggle')",
        ),
        (b'\xef\xbb\xbf<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
        (b'{"code":403,"message":"Forbidden"}', "JSON"),
        (json.dumps([{"id": "x"}], indent=2).encode(), "JSON"),
        (b'{"id": "x"}\n{"id": "y"}\n', "JSON (one value per line)"),
        (b'[{"id": "x", "la', "incomplete JSON"),
    ],
    ids=in_words,
)
def test_another_kind_of_file_is_named(content: bytes, what: str, tmp_path: Path) -> None:
    error = refused_as_other(tmp_path, content)
    assert (error.code, error.exit_code) == ("D70", 3)
    assert error.summary == f"{tmp_path / 'train.csv'} is {what}, not a CSV"
    assert error.hint


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n", "git lfs pull"),
        (b"/annex/objects/SHA256E-s12--ab.csv\n", "git annex get"),
        (b"../.git/annex/objects/aa/bb/MD5E-s1--x/x", "git annex get"),
    ],
    ids=in_words,
)
def test_a_pointer_is_no_table(content: bytes, hint: str, tmp_path: Path) -> None:
    error = refused_as_other(tmp_path, content)
    assert error.code == "D07"
    assert error.hint.startswith(hint)


@pytest.mark.parametrize(
    ("content", "output_name"),
    [
        (zipped("inside.csv"), "train.unpacked/inside.csv"),
        (gzip.compress(CSV), "train.unpacked.csv"),
        (written(TABLE.to_parquet), "train.text.csv"),
        (TABLE.to_json(orient="records").encode(), "train.text.csv"),
        (TABLE.to_json(orient="records", lines=True).encode(), "train.text.csv"),
    ],
    ids=in_words,
)
def test_the_hint_is_a_command_that_gives_the_table(content: bytes, output_name: str, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    command = refused_as_other(folder, content).hint.replace("python", sys.executable, 1)
    subprocess.run(command, shell=True, check=True, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    assert read_csv(folder / output_name).rows == ROWS


@pytest.mark.parametrize(
    "content",
    [
        b"PAR1,ORC\n1,2\n",
        b"BZh1,Obj\n1,2\n",
        b"PK,id\n1,2\n",
        b"[id],{label}\n1,2\n",
        b"<5,>=5\n1,2\n",
        b"GIF,BM\n1,2\n",
        b"<id>,<label>\n1,2\n",
        b"II*,id\n1,2\n",
    ],
)
def test_a_table_with_an_odd_header_is_a_table(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes(content)
    assert read_csv(tmp_path / "train.csv").rows == (("1", "2"),)
