"""tfrecord: images of files that TensorBoard and protobuf wrote, by number and by a feature's value."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.plugins.reader._protobuf import read_features
from tests.drawn_images import drawn, encoded
from tests.faults.test_fuzz import fuzzed
from tests.plugins.reader.read import read, refusal
from tests.plugins.reader.tfrecords import example, write_tfrecord

RNG = np.random.default_rng(0)
JPEGS = [encoded(drawn(seed=number), "JPEG") for number in range(6)]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rows = [
        {"target": number % 2, "image": content, "image_name": f"ISIC_{number}", "age": 1.5}
        for number, content in enumerate(JPEGS)
    ]
    write_tfrecord(tmp_path / "train00-3.tfrec", rows[:3])
    write_tfrecord(tmp_path / "train01-3.tfrec", rows[3:])
    return tmp_path


def test_a_record_is_found_by_its_number_and_by_a_feature(files: Path) -> None:
    for number, content in enumerate(JPEGS):
        (files / "a.jpg").write_bytes(content)
        wanted = read(files / "a.jpg", "image")
        for key in (f"train*.tfrec::{number}", f"train*.tfrec::image_name/ISIC_{number}"):
            assert np.array_equal(read(files / key, "tfrecord"), wanted), key
    one = read(files / "train01-3.tfrec::target/1", "tfrecord")
    assert one.shape == wanted.shape
    assert refusal(files / "train*.tfrec::6", "tfrecord").startswith("D02 no record '6' among 6")
    assert refusal(files / "train*.tfrec::image_name/x", "tfrecord").startswith(
        "D02 no record 'image_name/x'"
    )
    assert refusal(files / "train*.tfrec::name/x", "tfrecord").startswith("D02 no column 'name'")


def test_a_file_of_one_record_needs_no_key(tmp_path: Path) -> None:
    jpeg = encoded(drawn(), "JPEG")
    (tmp_path / "a.jpg").write_bytes(jpeg)
    write_tfrecord(tmp_path / "one.tfrec", [{"image": jpeg}])
    assert np.array_equal(read(tmp_path / "one.tfrec", "tfrecord"), read(tmp_path / "a.jpg", "image"))
    write_tfrecord(tmp_path / "two.tfrec", [{"image": jpeg}] * 2)
    assert refusal(tmp_path / "two.tfrec", "tfrecord").startswith("D02 has 2 records, and data.images names")


def test_features_of_bytes_and_numbers_are_pixels(tmp_path: Path) -> None:
    bytes_, bands = RNG.integers(0, 256, (6, 9), dtype=np.uint8), RNG.integers(0, 4096, (2, 6, 9))
    floats = RNG.random((6, 9), np.float32)
    row = {
        "raw": bytes_.tobytes(),
        "B1": bands[0].ravel(),
        "B2": bands[1].ravel(),
        "f": floats.ravel().tolist(),
    }
    write_tfrecord(tmp_path / "a.tfrecord", [row])
    at, size = tmp_path / "a.tfrecord::0", [6, 9]
    assert np.array_equal(read(at, "tfrecord", columns=["raw"], size=size)[:, :, 0], bytes_)
    pixels = read(at, "tfrecord", 2, columns=["B1", "B2"], size=size, range=[0, 4095])
    assert np.array_equal(pixels, np.rint(bands.transpose(1, 2, 0) / 4095 * 255))
    pixels = read(at, "tfrecord", 1, columns=["f"], size=size, range=[0, 1])
    assert np.array_equal(pixels[:, :, 0], np.rint(floats.astype(np.float64) * 255))
    assert refusal(at, "tfrecord").startswith(
        "D15 no feature is an encoded image: data.reader.columns names it"
    )
    assert refusal(at, "tfrecord", columns=["raw"]).startswith("D06 not an image")


def test_numbers_of_any_size_and_sign_are_read() -> None:
    numbers = [0, 1, 127, 128, 300, 2**31, -1, -(2**63), 2**63 - 1]
    floats = [0.0, -1.5, 3e38, float("inf")]
    features = read_features(example({"i": numbers, "f": floats, "b": [b"", b"\xff", b"x" * 300]}))
    assert list(features["i"]) == numbers
    assert np.array_equal(features["f"], np.array(floats, np.float32))
    assert features["b"] == [b"", b"\xff", b"x" * 300]
    # not packed, as writers of proto2 store them: features, entry, key "i", Int64List 300, -1
    ones = b"\xff" * 9 + b"\x01"
    values = b"\x08\xac\x02" + b"\x08" + ones
    feature = b"\x1a" + bytes([len(values)]) + values
    entry = b"\x0a\x01i\x12" + bytes([len(feature)]) + feature
    inner = b"\x0a" + bytes([len(entry)]) + entry
    assert list(read_features(b"\x0a" + bytes([len(inner)]) + inner)["i"]) == [300, -1]


@fuzzed
@given(
    changes=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 255)), max_size=9), kept=st.integers(0, 99)
)
def test_bytes_that_are_no_example_are_a_value_error(changes: list[tuple[int, int]], kept: int) -> None:
    content = bytearray(example({"i": [1, 300, -1], "f": [0.5] * 4, "b": [b"ab"], "name": "a"}))
    for place, value in changes:
        content[place % len(content)] = value
    with suppress(ValueError):
        read_features(bytes(content[: kept + 1]))


def test_damage_is_named(files: Path) -> None:
    whole = (files / "train00-3.tfrec").read_bytes()
    first = 12 + int.from_bytes(whole[:8], "little") + 4
    cases = {
        "cut.tfrec": (whole[:-5], "D05 truncated TFRecord: record 2 needs"),
        "head.tfrec": (
            whole[:first] + b"\x01" + whole[first + 1 :],
            "D05 corrupt TFRecord: the length of record 1",
        ),
        "data.tfrec": (whole[:500] + b"\x00\x01" + whole[502:], "D05 corrupt TFRecord: record 0"),
        "end.tfrec": (whole + b"\x01", "D05 corrupt TFRecord: the length of record 3"),
        "a.tfrec": (b"<html>not a file", "D06 not a TFRecord file: begins with b'<html>not a '"),
        "b.tfrec": (gzip.compress(whole), "D13 unsupported format: compressed TFRecord"),
        "c.tfrec": (b"", "D01"),
    }
    for name, (content, wanted) in cases.items():
        (files / name).write_bytes(content)
        assert refusal(files / f"{name}::0", "tfrecord").startswith(wanted), name


def test_a_record_without_the_image_is_named(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"image": JPEGS[0], "id": "a"},
        {"id": "b"},
        {"image": JPEGS[:2], "id": "c"},
    ]
    write_tfrecord(tmp_path / "a.tfrec", rows)
    assert refusal(tmp_path / "a.tfrec::id/b", "tfrecord") == "D15 record 1 has no feature 'image': it has id"
    assert refusal(tmp_path / "a.tfrec::id/c", "tfrecord") == "D15 a feature holds 2 images, not one"
