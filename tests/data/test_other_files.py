"""Files of another kind that are named .csv are recognised, with a way to the table in them."""

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
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from kit.data.csv_file import read_csv
from kit.errors import DataError

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


def refused(folder: Path, content: bytes) -> DataError:
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
    error = refused(tmp_path, content)
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
    error = refused(tmp_path, content)
    assert error.code == "D07"
    assert error.hint.startswith(hint)


@pytest.mark.parametrize(
    ("content", "made"),
    [
        (zipped("inside.csv"), "train.unpacked/inside.csv"),
        (gzip.compress(CSV), "train.unpacked.csv"),
        (written(TABLE.to_parquet), "train.text.csv"),
        (TABLE.to_json(orient="records").encode(), "train.text.csv"),
        (TABLE.to_json(orient="records", lines=True).encode(), "train.text.csv"),
    ],
    ids=in_words,
)
def test_the_hint_is_a_command_that_gives_the_table(content: bytes, made: str, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    command = refused(folder, content).hint.replace("python", sys.executable, 1)
    subprocess.run(command, shell=True, check=True, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    assert read_csv(folder / made).rows == ROWS


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
