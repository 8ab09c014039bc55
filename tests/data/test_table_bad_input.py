"""Tables: a clear word for each thing that cannot be used, and no file outside is touched."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from kit.data.table import sample_frame, test_table, train_table
from kit.errors import ConfigError, DataError, KitWarning
from tests.drawn_tables import FILES, IMAGES, PLAIN, csv, make, train_error


def test_a_missing_image_is_reported_with_what_was_tried_and_what_is_there(tmp_path: Path) -> None:
    make(tmp_path, FILES, ["images/a.jpg", "images/b.heic"])
    error = train_error(tmp_path)
    assert (error.code, error.exit_code) == ("D02", 3)
    assert f"no image for id 'b' (tried b.jpg, b.jpeg … in {tmp_path}/images)" in error.summary
    assert ".jpg (1)" in error.hint
    assert ".heic (1)" in error.hint


def test_all_missing_images_are_cases(tmp_path: Path) -> None:
    make(tmp_path, FILES)
    error = train_error(tmp_path)
    assert [(case.id, case.split, case.code) for case in error.cases] == [
        ("b", "train", "D02"),
        ("a", "train", "D02"),
    ]


def test_no_test_row_is_dropped_where_images_are_missing(tmp_path: Path) -> None:
    make(tmp_path, FILES, ["images/a.jpg", "images/t1.jpg"])
    with pytest.raises(DataError, match="no image for id 't2'"):
        test_table(tmp_path, PLAIN, ())
    data = PLAIN.model_copy(update={"on_unreadable_test": "class_prior", "on_unreadable_train": "skip"})
    assert test_table(tmp_path, data, ()).ids.tolist() == ["t2", "t1"]
    assert not train_table(tmp_path, data).paths[0].exists()


def test_a_directory_named_as_an_image_is_reported(tmp_path: Path) -> None:
    make(tmp_path, FILES, ["images/a.jpg"])
    (tmp_path / "images/b.jpg").mkdir()
    error = train_error(tmp_path)
    assert error.code == "D08"
    assert "is a directory" in error.summary


def test_a_folder_beside_the_image_does_not_hide_it(tmp_path: Path) -> None:
    make(tmp_path, FILES, IMAGES)
    (tmp_path / "images/a").mkdir()
    assert train_table(tmp_path, PLAIN).paths[1].name == "a.jpg"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "x/../../secret", "..", "../images-2/x"])
def test_an_id_that_leaves_the_image_root_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(
        tmp_path,
        {**FILES, "train.csv": csv("id,label", f"{name},cat", "a,dog")},
        [*IMAGES, "secret.jpg", "images-2/x.jpg"],
    )
    listed: list[str] = []
    import os

    scandir = os.scandir

    def list_folder(folder: Path) -> Any:
        listed.append(str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", list_folder)
    error = train_error(tmp_path)
    assert (error.code, error.exit_code) == ("D20", 3)
    assert f"id leaves the image root {tmp_path / 'images'} for id {name!r}, a train row" in error.summary
    assert {each for each in listed if "/plugins/" not in each} <= {str(tmp_path / "images")}


def test_a_link_that_leaves_the_image_root_is_refused_unless_allowed(tmp_path: Path) -> None:
    root = make(tmp_path / "work", FILES, ["images/b.jpg"])
    make(tmp_path, {}, ["secret.jpg", "elsewhere/a.jpg"])
    (root / "images/a.jpg").symlink_to(tmp_path / "secret.jpg")
    assert train_error(root).code == "D20"
    allowed = PLAIN.model_copy(update={"follow_symlinks": True})
    assert train_table(root, allowed).paths[1] == root / "images/a.jpg"
    (root / "images/a.jpg").unlink()
    (root / "images/deep").symlink_to(tmp_path / "elsewhere")
    (root / "train.csv").write_text(csv("id,label", "deep/a,cat"))
    assert train_error(root).code == "D20"
    assert len(train_table(root, allowed)) == 1


def test_a_link_within_the_image_root_is_fine(tmp_path: Path) -> None:
    make(tmp_path, FILES, ["images/real.jpg", "images/b.jpg"])
    (tmp_path / "images/a.jpg").symlink_to(tmp_path / "images/real.jpg")
    assert len(train_table(tmp_path, PLAIN)) == 2
    (tmp_path / "images/real.jpg").unlink()
    assert train_error(tmp_path).code == "D02"


def test_the_image_root_itself_may_be_a_link(tmp_path: Path) -> None:
    root = make(tmp_path / "work", FILES)
    make(tmp_path / "disk", {}, IMAGES)
    (root / "images").symlink_to(tmp_path / "disk/images")
    assert len(train_table(root, PLAIN)) == 2


def test_ids_that_differ_only_by_case_are_reported(tmp_path: Path) -> None:
    make(
        tmp_path, {**FILES, "train.csv": csv("id,label", "a,cat", "A,dog")}, ["images/a.jpg", "images/A.jpg"]
    )
    with pytest.warns(KitWarning, match="W03 2 train ids differ only by case: a, A"):
        train_table(tmp_path, PLAIN)


@pytest.mark.parametrize("name", ["", "  "])
def test_a_blank_id_is_reported_with_its_row(tmp_path: Path, name: str) -> None:
    make(tmp_path, {**FILES, "train.csv": csv("id,label", "a,cat", f"{name},dog")}, IMAGES)
    error = train_error(tmp_path)
    assert error.code == "D23"
    assert "row 3 has no id" in str(error)


def test_double_ids_are_reported_with_their_rows(tmp_path: Path) -> None:
    make(
        tmp_path,
        {
            "train.csv": csv("id,label", "a,cat", "b,dog", "a,dog"),
            "sample.csv": csv("id,label", "t,0", "t,0"),
        },
        IMAGES,
    )
    error = train_error(tmp_path)
    assert error.code == "D24"
    assert "id 'a' occurs in rows 2, 4" in str(error)
    for read in (lambda: test_table(tmp_path, PLAIN, ()), lambda: sample_frame(tmp_path, PLAIN)):
        with pytest.raises(DataError) as caught:
            read()
        assert caught.value.code == "D24"


def test_a_column_that_is_not_there_is_the_configs_fault(tmp_path: Path) -> None:
    make(tmp_path, FILES, IMAGES)
    for change in ({"id": "idd"}, {"label": "lable"}, {"images": "images/{idd}"}, {"images": "images/x.jpg"}):
        error = train_error(tmp_path, PLAIN.model_copy(update=change))
        assert error.exit_code == 2


def test_no_rows_to_predict_is_the_configs_fault(tmp_path: Path) -> None:
    make(tmp_path, FILES, IMAGES)
    data = PLAIN.model_copy(update={"sample": None})
    for read in (lambda: test_table(tmp_path, data, ()), lambda: sample_frame(tmp_path, data)):
        with pytest.raises(ConfigError, match="null"):
            read()


def test_many_rows_take_no_time(tmp_path: Path) -> None:
    count = (
        20_000  # 0.2 s of this process where it was written; whatever else runs on the machine does not count
    )
    rows = [f"{number:06d},{number % 7}" for number in range(count)]
    make(tmp_path, {"train.csv": csv("id,label", *rows)}, ["images/000000.jpg"])
    data = PLAIN.model_copy(update={"sample": None, "on_unreadable_train": "skip"})
    started = time.process_time()
    assert len(train_table(tmp_path, data)) == count
    assert time.process_time() - started < 3
