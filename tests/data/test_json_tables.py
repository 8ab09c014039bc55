"""JSON files as tables: COCO's images with their annotations and categories, and lists of objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kit.config.models import Data
from kit.data.csv_file import read_json_table
from kit.data.json_tables import has_bands, looks_like_table
from kit.data.table import read_labelled_rows, test_table, train_table
from kit.errors import DataError
from tests.drawn_tables import make

IMAGES = [
    {"id": 7, "file_name": "a/7.jpg", "location": "north", "date": None},
    {"id": 9, "file_name": "b/9.jpg", "location": "south", "date": "2020"},
]
CATEGORIES = [
    {"id": 0, "name": "empty", "supercategory": "none"},
    {"id": 3, "name": "red fox", "supercategory": "mammal"},
    {"id": 5, "name": "jay", "supercategory": "bird"},
]
ONE_EACH = [{"id": 1, "image_id": 7, "category_id": 3}, {"id": 2, "image_id": 9, "category_id": 0}]


def written(root: Path, content: Any, name: str = "train.json") -> Path:
    (root / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return root / name


def coco(annotations: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"info": {}, "images": IMAGES, "annotations": annotations, "categories": CATEGORIES, **more}


def test_an_image_is_a_row_with_its_category(tmp_path: Path) -> None:
    file = read_json_table(written(tmp_path, coco(ONE_EACH)))
    assert file.columns == (
        "id",
        "file_name",
        "location",
        "date",
        "category_id",
        "category",
        "supercategory",
    )
    assert file.rows == (
        ("7", "a/7.jpg", "north", "", "3", "red fox", "mammal"),
        ("9", "b/9.jpg", "south", "2020", "0", "empty", "none"),
    )


def test_several_annotations_of_one_category_are_one_label(tmp_path: Path) -> None:
    again = {"id": 3, "image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4]}
    file = read_json_table(written(tmp_path, coco([*ONE_EACH, again])))
    assert file.column("category_id") == ["3", "0"]
    assert "bbox" not in file.columns


def test_several_categories_of_an_image_are_several_labels(tmp_path: Path) -> None:
    other = {"id": 3, "image_id": 7, "category_id": 5}
    path = written(tmp_path, coco([*ONE_EACH, other]))
    file = read_json_table(path)
    assert file.column("category_id") == ["3 5", "0"]
    assert file.column("category") == ["red fox|jay", "empty"]
    assert "supercategory" not in file.columns
    make(tmp_path, images=["a/7.jpg", "b/9.jpg"])
    data = Data(train="train.json", sample=None, label="category", label_separator="|", images="{file_name}")
    table = train_table(tmp_path, data)
    assert table.classes == ("empty", "jay", "red fox")
    assert table.targets().tolist() == [[0, 1, 1], [1, 0, 0]]


def test_keys_of_herbarium_are_read_too(tmp_path: Path) -> None:
    content = {
        "annotations": [{"genus_id": 1, "category_id": 4, "image_id": "00000__001"}],
        "images": [{"image_id": "00000__001", "file_name": "000/00/1.jpg", "license": 0}],
        "categories": [{"category_id": 4, "scientificName": "Abies alba", "family": "Pinaceae"}],
    }
    file = read_json_table(written(tmp_path, content))
    assert dict(zip(file.columns, file.rows[0], strict=True)) == {
        "image_id": "00000__001",
        "file_name": "000/00/1.jpg",
        "license": "0",
        "category_id": "4",
        "category": "Abies alba",
        "genus_id": "1",
        "family": "Pinaceae",
    }


def test_the_categories_are_the_classes_in_the_order_of_the_file(tmp_path: Path) -> None:
    written(tmp_path, coco(ONE_EACH))
    keys = {
        "train": "train.json",
        "sample": None,
        "id": "id",
        "images": "{file_name}",
        "on_unreadable_train": "skip",
    }
    for label, classes in (("category_id", ("0", "3", "5")), ("category", ("empty", "red fox", "jay"))):
        data = Data(label=label, class_list="train.json#categories", superclasses="supercategory", **keys)
        table = read_labelled_rows(tmp_path, data)
        assert table.classes == classes
        assert table.class_groups == ("none", "mammal", "bird")


def test_a_json_without_annotations_has_the_rows_to_predict(tmp_path: Path) -> None:
    make(tmp_path, images=["a/7.jpg", "b/9.jpg"])
    written(tmp_path, coco(ONE_EACH))
    written(tmp_path, {"images": IMAGES}, "test.json")
    data = Data(train="train.json", test="test.json", sample=None, label="category_id", images="{file_name}")
    assert test_table(tmp_path, data, ("0", "3")).ids.tolist() == ["7", "9"]


def test_a_list_of_objects_is_a_table(tmp_path: Path) -> None:
    rows = [{"name": "a", "n": 1, "x": 0.5, "deep": {"y": 1}}, {"name": "b", "n": None, "odd": True}]
    file = read_json_table(written(tmp_path, rows))
    assert file.columns == ("name", "n", "x", "odd")
    assert file.rows == (("a", "1", "0.5", ""), ("b", "", "", "true"))


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (
            coco([*ONE_EACH, {"id": 8, "image_id": 70, "category_id": 3}]),
            "D80",
            "1 annotation names an image",
        ),
        (
            coco([*ONE_EACH, {"id": 8, "image_id": 7, "category_id": 4}]),
            "D80",
            "annotation names a category that does",
        ),
        (coco(ONE_EACH, images=[*IMAGES, IMAGES[0]]), "D24", "1 duplicate image ids"),
        (coco(ONE_EACH, categories=[*CATEGORIES, CATEGORIES[0]]), "D24", "1 duplicate category ids"),
        (coco(ONE_EACH, images=[{"file_name": "x.jpg"}]), "D80", "images without id or image_id"),
        (coco(ONE_EACH, images={"7": "a.jpg"}), "D80", "images is not a list of objects"),
        (coco([], images=[]), "D29", "has no rows"),
        ({"a": 1}, "D80", "neither COCO JSON"),
        ('{"images": [', "D80", "line 1: Expecting value"),
        ([1, 2], "D80", "the list is not a list of objects"),
    ],
    ids=[
        "image",
        "category",
        "twice",
        "class twice",
        "no id",
        "no list",
        "empty",
        "other",
        "cut off",
        "numbers",
    ],
)
def test_what_is_no_table_is_refused(content: Any, code: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read_json_table(written(tmp_path, content))
    assert (caught.value.code, caught.value.exit_code) == (code, 3)


def test_an_annotation_of_no_image_is_listed(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_json_table(written(tmp_path, coco([{"id": 8, "image_id": 70, "category_id": 3}])))
    assert str(caught.value.cases[0]) == "annotation 8: no image has the id '70'"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no table") as caught:
        read_json_table(tmp_path / "train.json#categories")
    assert caught.value.code == "D21"


@pytest.mark.parametrize(
    ("content", "is_table"),
    [
        (json.dumps(coco(ONE_EACH)), True),
        (
            json.dumps({"annotations": [{"id": n, "text": "x" * 99} for n in range(999)], "images": IMAGES}),
            True,
        ),
        ('[{"id": 1, "label": "a"}]', True),
        ('[{"band_1": [1, 2], "id": 1}]', False),
        (json.dumps([{"band_1": [0.5] * 64, "id": 1}]), True),
        (json.dumps([{"band_1": ["a"] * 64, "id": 1}]), False),
        ('{"shapes": [], "imagePath": "a.jpg"}', False),
        ("[1, 2]", False),
        ("", False),
    ],
)
def test_a_look_at_the_beginning_tells_tables_from_other_files(
    content: str, is_table: bool, tmp_path: Path
) -> None:
    assert looks_like_table(written(tmp_path, content)) == is_table


def test_lists_of_numbers_are_bands_of_images(tmp_path: Path) -> None:
    band = [0.5] * 64
    assert has_bands(written(tmp_path, json.dumps([{"id": 1, "band_1": band}])))
    for content in (
        '[{"id": 1, "box": [1, 2, 3, 4]}]',
        json.dumps({"images": [{"id": 1, "a": band}]}),
        "",
        "[1]",
    ):
        assert not has_bands(written(tmp_path, content)), content
    assert not has_bands(tmp_path / "nothing.json")
