"""Trees of images: every image is used, or counted and named; validation folders join the folds or are held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from kit.commands.init import command
from kit.config.models import Data
from kit.config.workspace import Workspace
from kit.data.folds import make_folds
from kit.data.table import rows_to_predict, train_table
from kit.errors import ConfigError, DataError, KitWarning
from kit.images.cache import Geometry
from kit.images.reader import read_image
from kit.kinds import Splitter
from kit.stages.discovery.discover import discover
from kit.stages.discovery.initialise import initialise
from tests.drawn_images import drawn, encoded

CLASSES = ("cat", "dog", "fox")


def draw(root: Path, *trees: str, classes: Sequence[str] = CLASSES, each: int = 2) -> Path:
    """In each folder a folder a class, with as many images; no two are alike."""
    for tree in trees:
        for name in classes:
            flat(root / tree / name, each)
    return root


def flat(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        seed = abs(hash((str(folder), number))) % 2**32
        (folder / f"{number}.png").write_bytes(encoded(drawn(24, 24, seed), "PNG"))


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("train", "valid", "test"),
        ("train", "validation", None),
        ("train", "dev", None),
        ("train", None, "test"),
        ("Training", None, "Testing"),
        ("images/train", "images/val", "images/test"),
        ("data/train", "data/valid", "data/test"),
        ("seg_train/seg_train", None, "seg_test/seg_test"),
        ("a/b/train_set", "a/b/val_set", "a/b/test_set"),
        ("trainset", "valset", "testset"),
        ("TRAIN", "VAL", "TEST"),
        ("train/train", "train/val", "test/test"),
        ("chest_xray/train", "chest_xray/val", "chest_xray/test"),
        ("TrainImages", "ValImages", "TestImages"),
    ],
)
def test_the_folders_of_a_tree_are_reported_by_their_names(
    tmp_path: Path, train: str, val: str | None, test: str | None
) -> None:
    draw(tmp_path, *(folder for folder in (train, val, test) if folder))
    discovery = discover(tmp_path)
    data = Data(**discovery.data)
    assert (data.train, data.val, data.test) == (train, val, test)
    table = train_table(tmp_path, data)
    assert table.classes == CLASSES
    assert len(table) == (12 if val else 6)
    assert len(rows_to_predict(tmp_path, data, table.classes)) == (6 if test else 0)
    assert not [line for line in discovery.findings if "images are not used" in line]


@pytest.mark.parametrize("has_sample", [True, False])
def test_the_images_to_predict_are_no_class_beside_folders_of_classes(
    tmp_path: Path, has_sample: bool
) -> None:
    files, root = tmp_path / "files", tmp_path / "workspace"
    root.mkdir()
    draw(files, ".")
    flat(files / "Test", 4)
    if has_sample:
        (files / "sample_submission.csv").write_text(
            "Id,Label\n" + "".join(f"{n}.png,cat\n" for n in range(4))
        )
    result = initialise(root, "scratch", source=files)
    space = Workspace.open(root)
    assert train_table(space).classes == CLASSES
    assert len(train_table(space)) == 6
    assert len(rows_to_predict(space.root, space.competition.data, CLASSES)) == 4
    assert any("6 images in 3 folders, one per class" in line for line in result.findings)


def test_equal_file_names_are_rows_of_their_own(tmp_path: Path) -> None:
    draw(tmp_path, "train", "val", "test")
    data = Data(**discover(tmp_path).data)
    table = train_table(tmp_path, data)
    assert table.ids.tolist() == [
        *(f"{name}/{number}" for name in CLASSES for number in range(2)),
        *(f"val/{name}/{number}" for name in CLASSES for number in range(2)),
    ]
    assert table.frame["part"].tolist() == ["train"] * 6 + ["val"] * 6
    assert table.frame["label"].tolist() == [name for name in CLASSES for _ in range(2)] * 2
    assert [path.relative_to(tmp_path).parts[0] for path in table.paths] == ["train"] * 6 + ["val"] * 6
    test = rows_to_predict(tmp_path, data, table.classes)
    assert test.ids.tolist() == [f"{name}/{number}" for name in CLASSES for number in range(2)]
    assert all(path.is_relative_to(tmp_path / "test") for path in test.paths)


def test_a_flat_test_folder_has_rows_to_predict(tmp_path: Path) -> None:
    draw(tmp_path, "train")
    flat(tmp_path / "test", 3)
    discovery = discover(tmp_path)
    assert "test: 3 images, rows to predict" in discovery.findings
    assert rows_to_predict(tmp_path, Data(**discovery.data), CLASSES).ids.tolist() == ["0", "1", "2"]


def test_a_sample_names_the_rows_of_a_test_folder(tmp_path: Path) -> None:
    draw(tmp_path, "train", "val")
    flat(tmp_path / "test", 3)
    (tmp_path / "sample_submission.csv").write_text("id,label\n0,cat\n1,cat\n2,cat\n")
    data = Data(**discover(tmp_path).data)
    assert (data.test, data.sample, data.test_images, data.val) == (
        None,
        "sample_submission.csv",
        "test/{id}",
        "val",
    )


def test_a_validation_folder_joins_by_default_is_held_out_or_ignored(tmp_path: Path) -> None:
    draw(tmp_path, "train", "val", each=3)
    joined = discover(tmp_path)
    assert "val: 9 images in 3 folders, joined with the training rows" in joined.findings[1]
    assert joined.splitter is None
    ignored = discover(tmp_path, val="ignore")
    assert "val" not in ignored.data
    assert "val: 9 images are not used, as asked for" in ignored.findings
    held = initialise(tmp_path, "scratch", val="holdout")
    assert "val: 9 images in 3 folders, the validation part" in held.findings[1]
    workspace = Workspace.open(tmp_path)
    table = train_table(tmp_path, workspace.competition.data).sort_by_id()
    splitter = Splitter.open(workspace.experiment.splitter)
    folds = make_folds(table, splitter, 0)
    is_val = np.array([name.startswith("val/") for name in table.ids])
    assert folds.count == 1
    assert folds.oof_mask(0).tolist() == is_val.tolist()
    assert folds.training_mask(splitter, 0).tolist() == (~is_val).tolist()


def test_holding_out_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    draw(tmp_path, "train", "test")
    with pytest.raises(ConfigError, match="no validation folder beside train") as raised:
        discover(tmp_path, val="holdout")
    assert raised.value.code == "C51"


def test_the_help_lists_the_uses_of_a_validation_folder() -> None:
    (option,) = [each for each in command.params if each.name == "val"]
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == ["join", "holdout", "ignore"]


def test_classes_of_one_folder_alone_are_named(tmp_path: Path) -> None:
    draw(tmp_path, "train")
    draw(tmp_path, "val", classes=("cat", "dog", "owl"))
    discovery = discover(tmp_path)
    assert "1 of the classes in train have no image in val: fox" in discovery.findings
    assert "1 of the classes in val have no image in train: owl" in discovery.findings
    assert train_table(tmp_path, Data(**discovery.data)).classes == (*CLASSES, "owl")


def test_images_that_nothing_uses_are_counted_and_named(tmp_path: Path) -> None:
    draw(tmp_path, "train")
    draw(tmp_path, "old/more", classes=("a", "b"), each=4)
    flat(tmp_path / "val", 5)
    findings = discover(tmp_path).findings
    assert "8 images are not used: old (8)" in findings
    assert "val: 5 images are not used, none of its folders is a class of train" in findings


# ------------------------------------------------------------------------------ files of odd endings


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("x.jfif", "JPEG"),
        ("x.jpe", "JPEG"),
        ("x.JPG_large", "JPEG"),
        ("x", "PNG"),
        ("x.avif", "AVIF"),
        ("x.JPG", "JPEG"),
        ("x.img", "WEBP"),
        ("x.1", "GIF"),
        ("x.jpg?size=large", "JPEG"),
        ("x.tif", "TIFF"),
        ("x.pgm", "PPM"),
        ("x.dib", "BMP"),
    ],
)
def test_an_image_is_known_by_its_content(tmp_path: Path, name: str, form: str) -> None:
    draw(tmp_path, "train", classes=("dog",))
    (tmp_path / "train" / "cat").mkdir()
    content = encoded(drawn(24, 32), form)
    (tmp_path / "train" / "cat" / name).write_bytes(content)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / name).write_bytes(content)
    data = Data(train="train", sample=None)
    table = train_table(tmp_path, data)
    assert table.ids.tolist() == ["cat/x", "dog/0", "dog/1"]
    with Image.open(tmp_path / "images" / name) as image:
        right = np.asarray(image.convert("RGB"))
    np.testing.assert_allclose(read_image(table.paths[0], data), right, atol=3)
    assert Geometry(20, "stretch").apply(right).shape == (20, 20, 3)
    # a table's row names it without its ending
    (tmp_path / "train.csv").write_text("id,label\nx,cat\n")
    rows = train_table(tmp_path, Data(train="train.csv", sample=None, images="images/{id}"))
    assert rows.paths[0] == tmp_path / "images" / name


@pytest.mark.parametrize(
    "content", [b"BMX is a kind of cycling", b"P5 and P6 are ports", b"", b"id,label\n", b"\0" * 64]
)
def test_other_files_are_no_images(tmp_path: Path, content: bytes) -> None:
    draw(tmp_path, "train", classes=("cat", "dog"))
    (tmp_path / "train" / "cat" / "odd").write_bytes(content)
    with pytest.warns(KitWarning, match=r"1 file, not an image that kit reads \(no ending 1\): cat/odd"):
        table = train_table(tmp_path, Data(train="train", sample=None))
    assert len(table) == 4


def test_two_odd_files_of_one_name_stand_for_no_row(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("x.one", "x.two"):
        (tmp_path / "images" / name).write_bytes(encoded(drawn(), "PNG"))
    (tmp_path / "train.csv").write_text("id,label\nx,cat\n")
    with pytest.raises(DataError, match="no image for id 'x'"):
        train_table(tmp_path, Data(train="train.csv", sample=None, images="images/{id}"))


def test_a_folder_of_odd_endings_is_found(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    rows = [f"p{number:02d},{CLASSES[number % 3]}" for number in range(12)]
    for number in range(12):
        (tmp_path / "photos" / f"p{number:02d}.JPG_large").write_bytes(encoded(drawn(seed=number), "JPEG"))
    (tmp_path / "train.csv").write_text("\n".join(["id,label", *rows]) + "\n")
    data = Data(**discover(tmp_path).data)
    assert data.images == "photos/{id}"
    assert len(train_table(tmp_path, data)) == 12


# ------------------------------------------------------------------------------ what is not used


def test_empty_class_folders_and_unread_files_are_named(tmp_path: Path) -> None:
    draw(tmp_path, "train")
    (tmp_path / "train" / "owl" / "deeper").mkdir(parents=True)
    (tmp_path / "train" / "cat" / "scan.dcm").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "train" / "cat" / "notes.txt").write_text("a text beside images is no loss")
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini"):
        (tmp_path / "train" / "dog" / name).write_bytes(b"x")
    line = discover(tmp_path).findings[0]
    assert "2 files, not an image that kit reads (.txt 1, .dcm 1): cat/notes.txt, cat/scan.dcm" in line
    assert "1 folder without images, not a class: owl" in line
    with pytest.warns(
        KitWarning, match=r"W51 ignored in .*train, train rows: 1 file, .*cat/scan.dcm; 1 fold"
    ):
        table = train_table(tmp_path, Data(train="train", sample=None))
    assert (len(table), table.classes) == (6, CLASSES)


def test_a_class_folder_that_is_a_link_is_followed_or_named(tmp_path: Path) -> None:
    draw(tmp_path, "train", classes=("cat", "dog"))
    draw(tmp_path, "store", classes=("owl",))
    (tmp_path / "train" / "owl").symlink_to(tmp_path / "store" / "owl")
    with pytest.raises(DataError, match="1 link in .* out of the folder: owl") as raised:
        train_table(tmp_path, Data(train="train", sample=None))
    assert raised.value.code == "D20"
    assert "data.follow_symlinks=true" in raised.value.hint
    table = train_table(tmp_path, Data(train="train", sample=None, follow_symlinks=True))
    assert table.classes == ("cat", "dog", "owl")
    assert len(table) == 6


def test_links_that_lead_back_or_nowhere_are_not_followed(tmp_path: Path) -> None:
    draw(tmp_path, "train", classes=("cat", "dog"))
    (tmp_path / "train" / "cat" / "again").symlink_to("..")
    (tmp_path / "train" / "gone").symlink_to("nowhere")
    with pytest.warns(KitWarning, match=r"W51 .* 1 file, a broken link \(no ending 1\): gone"):
        table = train_table(tmp_path, Data(train="train", sample=None))
    assert len(table) == 4


def test_images_that_no_table_names_are_counted_and_named(tmp_path: Path) -> None:
    flat(tmp_path / "train", 12)
    flat(tmp_path / "masks", 7)
    rows = [f"{number},{CLASSES[number % 3]}" for number in range(12)]
    (tmp_path / "train.csv").write_text("\n".join(["id,label", *rows]) + "\n")
    assert "7 images are not used: masks (7)" in discover(tmp_path, {"images": "train/{id}"}).findings
