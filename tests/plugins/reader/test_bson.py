"""bson: images of documents, written here by the rules of bsonspec.org."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.core.bson import MAX_DEPTH, read_document, read_scalars
from kit.data.csv_file import read_bson_table
from kit.errors import DataError
from tests.drawn_images import drawn, encoded
from tests.faults.test_fuzz import fuzzed
from tests.plugins.reader.documents import document, products
from tests.plugins.reader.read import read, refusal

JPEGS = [encoded(drawn(seed=number), "JPEG") for number in range(4)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "train.bson").write_bytes(products({10: JPEGS[:1], 7: JPEGS[1:3], 3: JPEGS[3:]}))
    return tmp_path / "train.bson"


def test_an_image_is_found_by_the_id_of_its_document_and_its_number(file: Path) -> None:
    wanted = []
    for content in JPEGS:
        (file.parent / "a.jpg").write_bytes(content)
        wanted.append(read(file.parent / "a.jpg", "image"))
    keys = {"_id/10": 0, "_id/7": 1, "_id/7/0": 1, "_id/7/1": 2, "_id/3/0": 3, "0": 0, "1/1": 2, "2": 3}
    for key, number in keys.items():
        assert np.array_equal(read(f"{file}::{key}", "bson"), wanted[number]), key
    assert np.array_equal(read(f"{file}::_id/7/1", "bson", columns=["imgs"]), wanted[2])
    assert refusal(f"{file}::_id/7/2", "bson") == "D02 document '_id/7' has 2 images, and no 2"
    assert refusal(f"{file}::_id/7/x", "bson") == "D02 document '_id/7' has 2 images, and no x"
    assert refusal(f"{file}::_id/8", "bson").startswith("D02 no record '_id/8' among 3, such as '_id/")
    assert refusal(f"{file}::3", "bson").startswith("D02 no record '3' among 3")
    assert refusal(f"{file}::1", "bson", columns=["_id"]) == "D02 document '1' has 0 images, and no 0"


def test_a_file_of_one_document_needs_no_key(file: Path) -> None:
    (file.parent / "one.bson").write_bytes(products({5: JPEGS[:2]}))
    (file.parent / "a.jpg").write_bytes(JPEGS[0])
    assert np.array_equal(read(file.parent / "one.bson", "bson"), read(file.parent / "a.jpg", "image"))
    assert refusal(file, "bson") == "D02 has 3 records, and data.images names none behind ::"


def test_elements_of_all_documents_are_looked_up_in_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = document({"name": "x", "imgs": [{"picture": JPEGS[0]}], "_id": 2, "late": "é"})
    (tmp_path / "a.bson").write_bytes(products({10: JPEGS[:1], 7: JPEGS[1:3]}) + odd)
    passes = []

    def counted(file: Path, places: Sequence[int]) -> Iterator[dict[str, str]]:
        passes.append(file)
        return read_scalars(file, places)

    monkeypatch.setattr("kit.plugins.reader.bson.read_scalars", counted)
    for key in ("_id/7/0", "category_id/1001", "_id/2"):
        read(f"{tmp_path / 'a.bson'}::{key}", "bson")
    assert len(passes) == 1


def test_a_table_has_the_numbers_and_texts_of_documents(file: Path) -> None:
    table = read_bson_table(file)
    assert table.columns == ("_id", "category_id")
    assert table.rows == (("10", "1001"), ("7", "1001"), ("3", "1000"))
    float_and_bool = b"\x01f\0" + struct.pack("<d", 0.5) + b"\x08b\0\1" + b"\x0an\0"
    body = struct.pack("<i", len(float_and_bool) + 5) + float_and_bool + b"\0"
    (file.parent / "b.bson").write_bytes(body + document({"f": 1}))
    assert read_bson_table(file.parent / "b.bson").rows == (("0.5", "true", ""), ("1", "", ""))


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (None, "D21 no table"),
        (b"", "D29"),
        (document({"imgs": []}), "D29"),
        (b"<html>", "D80"),
        (document({"a": 1})[:-1], "D80"),
        (document({"a": 1})[:-1] + b"\7", "D80"),
    ],
)
def test_a_table_that_is_no_bson_is_named(tmp_path: Path, content: bytes | None, wanted: str) -> None:
    file = tmp_path / "a.bson"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_bson_table(file)
    assert f"{caught.value.code} {caught.value.summary}".startswith(wanted)
    assert str(file) in caught.value.summary


def test_documents_of_the_specification_are_read() -> None:
    assert read_document(b"\x16\x00\x00\x00\x02hello\x00\x06\x00\x00\x00world\x00\x00") == {"hello": "world"}
    awesome = (
        b"\x31\x00\x00\x00\x04BSON\x00\x26\x00\x00\x00\x02\x30\x00\x08\x00\x00\x00awesome\x00"
        b"\x01\x31\x00\x33\x33\x33\x33\x33\x33\x14\x40\x10\x32\x00\xc2\x07\x00\x00\x00\x00"
    )
    assert read_document(awesome) == {"BSON": ["awesome", 5.05, 1986]}


def test_every_type_is_read_or_skipped() -> None:
    text = struct.pack("<i", 3) + b"ab\0"
    scope = struct.pack("<i", 4 + len(text) + len(document({}))) + text + document({})
    bodies = {
        0x06: b"",
        0x07: bytes(12),
        0x08: b"\1",
        0x09: bytes(8),
        0x0A: b"",
        0x0B: b"a\0i\0",
        0x0C: text + bytes(12),
        0x0D: text,
        0x0E: text,
        0x0F: scope,
        0x11: bytes(8),
        0x13: bytes(16),
        0x7F: b"",
        0xFF: b"",
    }
    body = b"".join(bytes([kind]) + f"{kind:x}\0".encode() + each for kind, each in bodies.items())
    body += b"\x12end\0" + struct.pack("<q", -(2**40))
    values = read_document(struct.pack("<i", len(body) + 5) + body + b"\0")
    assert list(values) == [*(f"{kind:x}" for kind in bodies), "end"]
    assert (values["end"], values["8"], values["d"], values["a"]) == (-(2**40), True, "ab", None)


def test_damage_is_named(file: Path) -> None:
    whole = file.read_bytes()
    first = int.from_bytes(whole[:4], "little")
    cases = {
        "cut.bson": (whole[:-5], "D05 truncated BSON: document 2 needs"),
        "size.bson": (
            whole[:first] + b"\xff\xff\xff\xff" + whole[first + 4 :],
            "D05 corrupt BSON: document 1 claims",
        ),
        "type.bson": (
            whole[:4] + b"\x77" + whole[5:],
            "D05 corrupt BSON: document 0 has an element of the unknown",
        ),
        "a.bson": (b"<html>no file", "D06 not a BSON file: begins with b'<htm'"),
        "b.bson": (b"", "D01"),
    }
    for name, (content, wanted) in cases.items():
        (file.parent / name).write_bytes(content)
        assert refusal(f"{file.parent / name}::0", "bson").startswith(wanted), name
    nested: dict[str, Any] = {}
    for _ in range(MAX_DEPTH + 2):
        nested = {"a": nested}
    with pytest.raises(ValueError, match="deep"):
        read_document(document(nested))


@fuzzed
@given(
    changes=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 255)), max_size=9), kept=st.integers(0, 99)
)
def test_bytes_that_are_no_document_are_a_value_error(changes: Sequence[tuple[int, int]], kept: int) -> None:
    content = bytearray(document({"_id": 1, "imgs": [{"picture": b"ab"}], "name": "a"}))
    for place, value in changes:
        content[place % len(content)] = value
    with suppress(ValueError):
        read_document(bytes(content[: kept + 1]))
