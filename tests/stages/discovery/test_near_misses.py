"""Near misses: kit init says why a table's cells name no image, with one example and what repairs them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kit.errors import ConfigError
from kit.stages.discovery.discover import discover
from tests.drawn_tables import csv, make

STEMS = [f"{number:04d}" for number in range(1, 31)]
LABELS = ["cat", "dog", "fox"]


def tables(root: Path, cells: list[str], images: list[str]) -> Path:
    """train.csv with these cells in the column `image` and a label, beside empty image files."""
    rows = [f"{cell},{LABELS[row % 3]}" for row, cell in enumerate(cells)]
    return make(root, {"train.csv": csv("image,label", *rows)}, images)


def refused(root: Path) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        discover(root)
    assert raised.value.code == "C20"
    return raised.value


PLAIN = [f"images/{stem}.jpg" for stem in STEMS]
NAMED = [f"images/p{stem}.jpg" for stem in STEMS]
MISSES = {
    "windows": ([f"images\\{s}.jpg" for s in STEMS], PLAIN, "Windows paths: 'images\\\\0001.jpg' for images/0001.jpg"),
    "drive": (
        [f"C:\\data\\images\\{s}.jpg" for s in STEMS], PLAIN,
        "Windows paths, paths below another folder: 'C:\\\\data\\\\images\\\\0001.jpg' for images/0001.jpg",
    ),
    "kaggle": (
        [f"/kaggle/input/comp/images/{s}.jpg" for s in STEMS], PLAIN,
        "paths below another folder: '/kaggle/input/comp/images/0001.jpg' for images/0001.jpg",
    ),
    "relative": ([f"../input/{s}.jpg" for s in STEMS], PLAIN, "paths below another folder: '../input/0001.jpg'"),
    "address": ([f"https://x.org/a/{s}.jpg" for s in STEMS], PLAIN, "addresses: 'https://x.org/a/0001.jpg'"),
    "ending": (
        [f"p{s}.png" for s in STEMS], NAMED, "another ending than the files have: 'p0001.png' for images/p0001.jpg",
    ),
    "zeros": (
        [str(int(s)) for s in STEMS], PLAIN, "numbers that lost their leading zeros: '1' for images/0001.jpg",
    ),
    "zeros and ending": (
        [f"{int(s)}.jpg" for s in STEMS], PLAIN,
        "another ending than the files have, numbers that lost their leading zeros: '1.jpg' for images/0001.jpg",
    ),
    "float": (
        [f"{int(s)}.0" for s in STEMS], PLAIN,
        "numbers with a decimal point, numbers that lost their leading zeros: '1.0' for images/0001.jpg",
    ),
    "formula": (
        [f'"=""{s}"""' for s in STEMS], PLAIN, "spreadsheet formulas: '=\"0001\"' for images/0001.jpg",
    ),
    "single quotes": (
        [f"'{s}.jpg'" for s in STEMS], PLAIN, "quotes around the names: \"'0001.jpg'\" for images/0001.jpg",
    ),
    "blanks": ([f" {s}.jpg " for s in STEMS], PLAIN, "blanks around the names: ' 0001.jpg ' for images/0001.jpg"),
    "capitals": (
        [f"P{s}.JPG" for s in STEMS], NAMED, "other capitals than the files have: 'P0001.JPG' for images/p0001.jpg",
    ),
    "windows and ending": (
        [f"a\\p{s}.png" for s in STEMS], NAMED,
        "Windows paths, paths below another folder, another ending than the files have: 'a\\\\p0001.png'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", MISSES)
def test_a_near_miss_is_explained_and_what_corrects_it_does(tmp_path: Path, kind: str) -> None:
    cells, images, said = MISSES[kind]
    error = refused(tables(tmp_path, cells, images))
    assert str(error.cases[0]).startswith(f"train.csv: column 'image' has {said}"), str(error.cases[0])
    line = error.hint.removeprefix("in pandas, ").removesuffix("; then kit init")
    table = pd.read_csv(tmp_path / "train.csv", dtype=str)
    exec(line, {"table": table})
    table.to_csv(tmp_path / "train.csv", index=False)
    assert discover(tmp_path).data["train"] == "train.csv"


def test_ids_that_are_a_part_of_the_files_names_have_a_pattern(tmp_path: Path) -> None:
    images = [f"images/scan_{stem}_left.jpg" for stem in STEMS]
    error = refused(tables(tmp_path, STEMS, images))
    assert "only a part of the files' names: '0001' for images/scan_0001_left" in str(error.cases[0])
    assert error.hint == "kit init --images 'images/scan_{image}_left'"
    data = discover(tmp_path, {"images": "images/scan_{image}_left"}).data
    assert (data["images"], data["label"]) == ("images/scan_{image}_left", "label")


def test_an_id_on_several_rows_is_said_with_its_rows(tmp_path: Path) -> None:
    error = refused(tables(tmp_path, [f"{stem}.jpg" for stem in STEMS for _ in range(2)], PLAIN))
    assert "each id on 2 rows, and kit needs one (rows 2, 3): '0001.jpg'" in str(error.cases[0])
    assert "one row an image" in error.hint


def test_images_that_are_missing_are_counted(tmp_path: Path) -> None:
    error = refused(tables(tmp_path, [f"{stem}.jpg" for stem in STEMS], PLAIN[:18]))
    assert "cells of which 40% name no image: '0019.jpg'" in str(error.cases[0])


@pytest.mark.parametrize(
    ("ending", "form"),
    [
        (".jp2", " (JPEG 2000)"),
        (".heic", " (HEIC)"),
        (".mp4", " (video)"),
        (".mat", " (MATLAB)"),
    ],
)
def test_formats_that_kit_does_not_read_are_counted_and_named(tmp_path: Path, ending: str, form: str) -> None:
    error = refused(tables(tmp_path, STEMS, [f"train/{stem}{ending}" for stem in STEMS]))
    shown = list(map(str, error.cases))
    assert f"train/0001{ending}: 30 {ending} files{form}, which kit does not read yet" in shown


@pytest.mark.parametrize(
    ("ending", "name"), [(".dcm", "dicom"), (".npy", "npy"), (".h5", "hdf5"), (".tfrec", "tfrecord")]
)
def test_formats_of_other_readers_are_named_if_no_column_names_them(
    tmp_path: Path, ending: str, name: str
) -> None:
    error = refused(tables(tmp_path, STEMS, [f"train/other{stem}x{ending}" for stem in STEMS]))
    line = (
        f"train/other0001x{ending}: 30 {ending} files, which data.reader={name} reads if a column names them"
    )
    assert line in list(map(str, error.cases))


def test_packed_archives_are_named(tmp_path: Path) -> None:
    tables(tmp_path, STEMS, [])
    for name in ("train.zip", "test.tar.gz"):
        (tmp_path / name).write_bytes(b"PK\3\4")
    shown = list(map(str, refused(tmp_path).cases))
    assert "train.zip: is packed: unpack it first" in shown
    assert "test.tar.gz: is packed: unpack it first" in shown


def test_a_sample_that_nearly_names_its_images_is_a_finding(tmp_path: Path) -> None:
    tables(tmp_path, [f"{stem}.jpg" for stem in STEMS], PLAIN)
    test = [f"t{number:02d}" for number in range(12)]
    rows = [f"/kaggle/input/c/test/{name}.png,cat" for name in test]
    make(
        tmp_path, {"sample_submission.csv": csv("image,label", *rows)}, [f"test/{name}.jpg" for name in test]
    )
    lines = discover(tmp_path, {"sample": "sample_submission.csv"}).findings
    assert any(
        line.startswith(
            "sample_submission.csv: column 'image' has paths below another folder, another ending"
        )
        for line in lines
    ), lines


def test_a_table_beside_class_folders_is_left_aside_with_its_near_miss(tmp_path: Path) -> None:
    images = [f"train/{LABELS[row % 3]}/x{stem}.jpg" for row, stem in enumerate(STEMS)]
    tables(tmp_path, [f"x{stem}.png" for stem in STEMS], images)
    lines = discover(tmp_path).findings
    assert "left aside: train.csv" in lines
    assert any("another ending than the files have" in line for line in lines)
