"""data.box: the part of an image that columns or a detector's file name, and what is no box."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from kit.config.models import Data
from kit.config.workspace import Workspace
from kit.core.locations import Box, parts_of
from kit.data import row_sources
from kit.data.boxes import names_without_row
from kit.data.table import Table, train_table
from kit.errors import ConfigError, DataError, KitWarning
from kit.experiment.sample_fit import warn_about_prediction
from kit.images.boxes import crop
from kit.images.reader import ImageSource
from kit.stages.checks.box_names import check_box_names

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def workspace(root: Path, cells: str = "10,4,20,30", names: str = "x,y,w,h") -> None:
    (root / "data" / "images").mkdir(parents=True)
    for name in "ab":
        cv2.imwrite(str(root / "data" / "images" / f"{name}.png"), IMAGE[:, :, ::-1])
    rows = [f"a,cat,{cells}", "b,dog" + "," * (names.count(",") + 1)]
    (root / "data" / "train.csv").write_text("\n".join([f"id,label,{names}", *rows]) + "\n")


def pixels(root: Path, **options: Any) -> list[np.ndarray]:
    data = Data(sample=None, **options)
    table = train_table(root, data)
    source = ImageSource.open(data)
    return [source.read(path).pixels for path in table.paths]


@pytest.mark.parametrize("names", ["x,y,w,h", "box"])
def test_a_box_of_columns_is_cropped_and_blank_cells_use_the_whole(tmp_path: Path, names: str) -> None:
    workspace(tmp_path, "10,4,20,30" if "," in names else "[10 4 20 30]", names)
    first, second = pixels(tmp_path, box=names.split(","))
    assert np.array_equal(first, IMAGE[4:34, 10:30])
    assert np.array_equal(second, IMAGE)


def test_a_margin_is_added_and_ends_at_the_border(tmp_path: Path) -> None:
    workspace(tmp_path)
    first, _ = pixels(tmp_path, box=["x", "y", "w", "h"], box_margin=0.5)
    assert np.array_equal(first, IMAGE[0:40, 0:40])  # y from -11 to 49, x from 0 to 40


def detections(kind: str) -> Any:
    if kind == "coco":
        annotations = [
            {"image_id": 1, "bbox": [10, 4, 20, 30]},
            {"image_id": 1, "bbox": [0, 0, 2, 2]},
        ]
        images = [{"id": 1, "file_name": "sub/a.png"}, {"id": 2, "file_name": "b.png"}]
        return {"images": images, "annotations": annotations}
    boxes = [{"conf": 0.3, "bbox": [0, 0, 1, 1]}, {"conf": 0.9, "bbox": [1 / 6, 0.1, 1 / 3, 0.75]}]
    return {"images": [{"file": "sub/a.png", "detections": boxes}, {"file": "b.png", "detections": []}]}


@pytest.mark.parametrize("kind", ["coco", "megadetector", "yolo"])
def test_a_detectors_box_of_each_image_is_used(tmp_path: Path, kind: str) -> None:
    workspace(tmp_path)
    if kind == "yolo":
        (tmp_path / "boxes").mkdir()
        lines = ["0 0.5 0.5 1 1 0.2", f"0 {1 / 3:.6f} 0.475 {1 / 3:.6f} 0.75 0.9"]
        (tmp_path / "boxes" / "a.txt").write_text("\n".join(lines))
        (tmp_path / "boxes" / "b.txt").write_text("")
    else:
        (tmp_path / "boxes").write_text(json.dumps(detections(kind)))
    first, second = pixels(tmp_path, box="boxes")
    assert np.array_equal(first, IMAGE[4:34, 10:30])
    assert np.array_equal(second, IMAGE)


@pytest.mark.parametrize(
    "cells", ["10,4,0,30", "10,4,-2,30", "10,4,x,30", "10,,20,30", "nan,4,20,30", "9,4,-2,-3"]
)
def test_what_is_no_box_is_refused_before_training(tmp_path: Path, cells: str) -> None:
    workspace(tmp_path, cells)
    with pytest.raises(DataError, match="1 rows have an invalid box") as caught:
        pixels(tmp_path, box=["x", "y", "w", "h"])
    assert caught.value.code == "D16"


def test_a_box_outside_the_image_is_refused() -> None:
    for box in (Box(60, 0, 5, 5), Box(-9, 0, 5, 5), Box(0, 100, 5, 5, is_percent=True)):
        with pytest.raises(DataError, match="lies outside the image of 60 x 40 pixels") as caught:
            crop(IMAGE, box)
        assert caught.value.code == "D16"
    assert np.array_equal(crop(IMAGE, Box(50, 30, 50, 50)), IMAGE[30:, 50:])


def test_a_file_of_unknown_ids_is_refused(tmp_path: Path) -> None:
    workspace(tmp_path)
    (tmp_path / "boxes.json").write_text(json.dumps({"annotations": [{"image_id": 9, "bbox": [0, 0, 1, 1]}]}))
    with pytest.raises(DataError, match="names none of the 2 rows") as caught:
        pixels(tmp_path, box="boxes.json")
    assert caught.value.code == "D16"
    (tmp_path / "boxes.json").write_text("[]")
    with pytest.raises(DataError, match="neither boxes of COCO nor of MegaDetector"):
        pixels(tmp_path, box="boxes.json")
    with pytest.raises(ConfigError, match="no column and no file"):
        pixels(tmp_path, box="nothing")


@pytest.mark.parametrize(
    "bbox", [[0, 0, 0, 5], [0, 0, -4, -5], [1, 1, float("inf"), 4], [float("nan"), 0, 1, 1]]
)
def test_a_detectors_box_without_an_area_is_refused(tmp_path: Path, bbox: list[float]) -> None:
    workspace(tmp_path)
    shares = [number / 50 for number in bbox]
    images = [{"id": "b", "file_name": "b.png"}]
    coco = {"images": images, "annotations": [{"image_id": "a", "bbox": bbox}]}
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    detections_json = {
        "images": [{"file": "a.png", "detections": [{"conf": 1, "bbox": shares}]}, {"file": "b.png"}]
    }
    (tmp_path / "mega.json").write_text(json.dumps(detections_json))
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo" / "a.txt").write_text("0 " + " ".join(map(str, shares)))
    (tmp_path / "yolo" / "b.txt").write_text("")
    for box in ("coco.json", "mega.json", "yolo"):
        with pytest.raises(DataError, match="1 rows have an invalid box") as caught:
            pixels(tmp_path, box=box)
        assert caught.value.code == "D16"
        assert [case.id for case in caught.value.cases] == ["a"]
    with pytest.raises(DataError, match="has no area"):
        crop(IMAGE, Box.of(bbox))


def test_rows_that_a_file_of_boxes_lacks_are_named(tmp_path: Path) -> None:
    workspace(tmp_path)
    (tmp_path / "boxes.json").write_text(
        json.dumps({"annotations": [{"image_id": "a", "bbox": [0, 0, 9, 9]}]})
    )
    with pytest.warns(KitWarning, match=r"^W85 .*boxes.json does not name 1 of 2 rows, .* image: 'b'$"):
        first, second = pixels(tmp_path, box="boxes.json")
    assert first.shape == (9, 9, 3)
    assert np.array_equal(second, IMAGE)


def test_a_file_with_the_marks_of_a_location_is_itself(tmp_path: Path) -> None:
    odd = tmp_path / "a::b | c [1, 2, 3, 4]"
    odd.write_bytes(b"x")
    assert [part.file for part in parts_of(odd)] == [str(odd)]
    parts = parts_of(f"{tmp_path}/x.h5::key | {tmp_path}/y.png [1, 2, 3, 4]")
    assert [(part.key, part.box) for part in parts] == [("key", Box(1, 2, 3, 4)), ("", Box(1, 2, 3, 4))]


def table_of_boxes(root: Path, rows: str, header: str = "id,x,y,width,height") -> None:
    (root / "boxes.csv").write_text(f"{header}\n{rows}\n")


@pytest.mark.parametrize("cells", ["10,4,20,30", "16.6667%,10%,33.3333%,75%"])
def test_a_csv_of_boxes_is_in_pixels_or_in_percent(tmp_path: Path, cells: str) -> None:
    workspace(tmp_path)
    table_of_boxes(tmp_path, f"b,,,,\na,{cells}")
    first, second = pixels(tmp_path, box="boxes.csv")
    assert np.array_equal(first, IMAGE[4:34, 10:30])
    assert np.array_equal(second, IMAGE)


@pytest.mark.parametrize(
    ("header", "rows", "says"),
    [
        ("id,x,y,width", "a,1,2,3", "4 columns"),
        ("id,x,y,width,height", "a,10%,4,20,30", "invalid box"),
        ("id,x,y,width,height", "a,10,4,0,30", "invalid box"),
        ("id,x,y,width,height", "a,10,4,wide,30", "invalid box"),
        ("id,x,y,width,height", "c,10,4,20,30", "names none of the 2 rows"),
    ],
)
def test_a_csv_without_valid_boxes_is_refused(tmp_path: Path, header: str, rows: str, says: str) -> None:
    workspace(tmp_path)
    table_of_boxes(tmp_path, f"{rows}\nb,,,," if header.count(",") == 4 and rows[0] == "a" else rows, header)
    with pytest.raises(DataError, match=f"D16.*{says}"):
        pixels(tmp_path, box="boxes.csv")


def test_an_id_twice_in_a_csv_of_boxes_is_refused(tmp_path: Path) -> None:
    workspace(tmp_path)
    table_of_boxes(tmp_path, "a,1,2,3,4\na,1,2,3,4")
    with pytest.raises(DataError, match=r"boxes\.csv"):
        pixels(tmp_path, box="boxes.csv")


def write_boxes(root: Path, kind: str, files: Mapping[str, Sequence[float]]) -> str:
    """Writes a file of one box in percent per image file, and returns its name."""
    if kind == "yolo":
        for file, (x, y, wide, tall) in files.items():
            path = (root / "boxes" / file).with_suffix(".txt")
            path.parent.mkdir(parents=True, exist_ok=True)
            shares = ((x + wide / 2) / 100, (y + tall / 2) / 100, wide / 100, tall / 100)
            path.write_text("0 " + " ".join(map(str, shares)))
        return "boxes"
    if kind == "csv":
        rows = [f"{Path(file).stem}," + ",".join(f"{v}%" for v in box) for file, box in files.items()]
        table_of_boxes(root, "\n".join(rows))
        return "boxes.csv"
    content: Any
    if kind == "coco":
        content = {
            "images": [{"id": number, "file_name": file} for number, file in enumerate(files)],
            "annotations": [
                {"image_id": number, "bbox": [x * 0.6, y * 0.4, wide * 0.6, tall * 0.4]}
                for number, (x, y, wide, tall) in enumerate(files.values())
            ],
        }
    else:
        images = [
            {"file": file, "detections": [{"conf": 0.9, "bbox": [v / 100 for v in box]}]}
            for file, box in files.items()
        ]
        content = {"images": images}
    (root / "boxes.json").write_text(json.dumps(content))
    return "boxes.json"


KINDS = ["csv", "coco", "megadetector", "yolo"]


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_of_unknown_images_alone_are_refused(tmp_path: Path, kind: str) -> None:
    workspace(tmp_path)
    box = write_boxes(tmp_path, kind, {"other/x.png": [10, 10, 50, 50], "y.png": [0, 0, 50, 50]})
    with pytest.raises(DataError, match="names none of the 2 rows") as caught:
        pixels(tmp_path, box=box)
    assert caught.value.code == "D16"
    assert "the rows are 'a', 'b'" in caught.value.cases[0].detail


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_no_row_has_are_listed(tmp_path: Path, kind: str) -> None:
    workspace(tmp_path)
    files: dict[str, Sequence[float]] = {
        "a.png": [0, 0, 50, 50],
        "b.png": [50, 50, 50, 50],
        "sub/x.png": [1, 1, 2, 2],
    }
    box = write_boxes(tmp_path, kind, {**files, "c.png": [1, 1, 2, 2]})
    if kind == "yolo":
        (tmp_path / "boxes" / "classes.txt").write_text("animal\nperson")  # no file of boxes
    data = Data(sample=None, box=(box,))
    train = train_table(tmp_path, data)
    test = Table(np.array(["c"]), [tmp_path / "c.png"], ("cat", "dog"))
    unknown, count = names_without_row(tmp_path, data, [train, test])
    assert [Path(name).stem for name in unknown] == ["x"]
    assert count == (5 if kind == "yolo" else 4)
    (finding,) = check_box_names(tmp_path, data, train, test)
    assert (finding.code, len(finding.cases)) == ("K50", 1)
    assert list(check_box_names(tmp_path, Data(sample=None), train, test)) == []
    (tmp_path / "config.json").write_text(json.dumps({"data": {"box": [box], "sample": None}}))
    with pytest.warns(KitWarning, match=f"^W91 2 of {count} names in {box} .* no training or test row: '"):
        warn_about_prediction(Workspace.open(tmp_path), train)


def test_files_and_not_numbers_decide_which_image_a_coco_box_is_of(tmp_path: Path) -> None:
    (tmp_path / "data" / "images").mkdir(parents=True)
    for name in "12":
        cv2.imwrite(str(tmp_path / "data" / "images" / f"{name}.png"), IMAGE[:, :, ::-1])
    (tmp_path / "data" / "train.csv").write_text("id,label\n1,cat\n2,dog\n")
    images = [{"id": 2, "file_name": "1.png"}, {"id": 1, "file_name": "2.png"}]
    boxes = [{"image_id": 2, "bbox": [0, 0, 5, 5]}, {"image_id": 1, "bbox": [0, 0, 9, 9]}]
    (tmp_path / "boxes.json").write_text(json.dumps({"images": images, "annotations": boxes}))
    first, second = pixels(tmp_path, box="boxes.json")
    assert (first.shape, second.shape) == ((5, 5, 3), (9, 9, 3))
    (tmp_path / "boxes.json").write_text(
        json.dumps({"images": [{"id": 2, "file_name": "x.png"}], "annotations": boxes})
    )
    first, second = pixels(tmp_path, box="boxes.json")  # no file is known, so ids decide
    assert (first.shape, second.shape) == ((9, 9, 3), (5, 5, 3))


def same_names(root: Path) -> None:
    for folder in ("cat", "dog"):
        (root / "data" / "images" / folder).mkdir(parents=True)
        cv2.imwrite(str(root / "data" / "images" / folder / "1.png"), IMAGE[:, :, ::-1])


@pytest.mark.parametrize("kind", ["coco", "megadetector", "yolo"])
def test_folders_tell_files_of_the_same_name_apart(tmp_path: Path, kind: str) -> None:
    same_names(tmp_path)
    files = {"x/cat/1.png": [0, 0, 50, 50], "x/dog/1.png": [0, 0, 25, 100]}
    box = write_boxes(tmp_path, kind, files)
    first, second = pixels(tmp_path, box=box, train="data/images", images="data/images")
    assert (first.shape, second.shape) == ((20, 30, 3), (40, 15, 3))


@pytest.mark.parametrize("kind", ["coco", "megadetector", "yolo"])
@pytest.mark.parametrize("names", [["1.png"], ["x/1.png", "y/1.png"]])
def test_a_name_of_several_images_is_refused(tmp_path: Path, kind: str, names: list[str]) -> None:
    same_names(tmp_path)
    box = write_boxes(tmp_path, kind, {name: [0, 0, 50, 50] for name in names})
    with pytest.raises(DataError, match="may be the image of several rows") as caught:
        pixels(tmp_path, box=box, train="data/images", images="data/images")
    assert caught.value.code == "D16"


def test_boxes_apply_to_class_folders_and_to_folders_of_photos(tmp_path: Path) -> None:
    same_names(tmp_path)
    table_of_boxes(tmp_path, "cat/1,0,0,20,10\ndog/1,0,0,30,40")
    first, second = pixels(tmp_path, box="boxes.csv", train="data/images")
    assert (first.shape, second.shape) == ((10, 20, 3), (40, 30, 3))
    (tmp_path / "data" / "train.csv").write_text("id,label\ncat,a\ndog,b\n")
    table_of_boxes(tmp_path, "cat_1,0,0,20,10\ndog_1,0,0,30,40")
    first, second = pixels(tmp_path, box="boxes.csv", images="data/images/{id}/*")
    assert (first.shape, second.shape) == ((10, 20, 3), (40, 30, 3))
    data = Data(sample=None, box=("boxes.csv",), test="data/images")
    table_of_boxes(tmp_path, "cat/1,0,0,20,10\ndog/1,0,0,30,40")
    assert [
        str(path).rpartition(" [")[2] for path in row_sources.test_rows(tmp_path, data, (), None).paths
    ] == [
        "0, 0, 20, 10]",
        "0, 0, 30, 40]",
    ]
