"""A table without a header is refused before a row is lost as the columns' names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kit.config.models import Data
from kit.data.table import sample_frame, test_table, train_table
from kit.errors import DataError
from kit.stages.discovery.initialise import discover
from tests.drawn_tables import FILES, IMAGES, PLAIN, SAMPLE, TRAIN, csv, make, usual

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
