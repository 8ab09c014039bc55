"""Encodings of tables: UTF-8 beside the config's, marks, and what cannot be decoded."""

from __future__ import annotations

import warnings
from pathlib import Path

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
