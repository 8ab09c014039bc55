"""Tables: rows from every layout, text as text, and a clear word for what cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from kit.config.models import Data, LabelFrom
from kit.data.table import sample_frame, test_table, train_table
from kit.errors import ConfigError, DataError
from tests.drawn_tables import FILES, IMAGES, PLAIN, SAMPLE, csv, make, train_error

# ------------------------------------------------------------------------------------------ layouts


def test_rows_keep_the_order_of_their_file(tmp_path: Path) -> None:
    make(tmp_path, FILES, IMAGES)
    train = train_table(tmp_path, PLAIN)
    assert train.ids.tolist() == ["b", "a"]
    assert train.classes == ("cat", "dog")
    assert train.labels is not None
    assert train.labels.tolist() == [1, 0]
    assert [path.name for path in train.paths] == ["b.png", "a.jpg"]
    test = test_table(tmp_path, PLAIN, train.classes)
    assert test.ids.tolist() == ["t2", "t1"]
    assert test.labels is None
    assert sample_frame(tmp_path, PLAIN).to_numpy().tolist() == [["t2", "cat"], ["t1", "cat"]]


def test_ids_survive_byte_for_byte(tmp_path: Path) -> None:
    ids = ["007", "7", "1e5", "NA", "null", "True", "1.0", "ÿ x"]
    make(
        tmp_path,
        {"train.csv": csv("id,label", *(f"{name},{n % 2}" for n, name in enumerate(ids)))},
        [f"images/{name}.jpg" for name in ids],
    )
    train = train_table(tmp_path, Data(train="train.csv", sample=None, images="images/{id}"))
    assert train.ids.tolist() == ids
    assert train.frame["id"].tolist() == ids
    assert [path.stem for path in train.paths[:5]] == ids[:5]


def test_test_rows_come_from_the_test_table_where_there_is_one(tmp_path: Path) -> None:
    make(
        tmp_path,
        {**FILES, "test.csv": csv("id,box,folder", "t1,b,x", "t3,b,x")},
        [*IMAGES, "other/x/t1.jpg", "other/x/t3.jpg"],
    )
    data = PLAIN.model_copy(
        update={"test": "test.csv", "test_images": "other/{folder}/{id}", "answer": "box"}
    )
    test = test_table(tmp_path, data, ("cat",))
    assert test.ids.tolist() == ["t1", "t3"]
    assert test.frame["box"].tolist() == ["b", "b"]
    assert test.answers is not None
    assert test.answers.tolist() == ["b", "b"]
    with pytest.raises(ConfigError, match="no column 'bx'"):
        test_table(tmp_path, data.model_copy(update={"answer": "bx"}), ())


def test_the_samples_first_column_is_the_id_whatever_its_name(tmp_path: Path) -> None:
    make(tmp_path, {**FILES, "sample.csv": csv("ImageID,ans", "t1.jpg,0")}, IMAGES)
    test = test_table(tmp_path, PLAIN.model_copy(update={"test_images": "images/{ImageID}"}), ())
    assert test.ids.tolist() == ["t1.jpg"]
    assert test.paths == (tmp_path / "images/t1.jpg",)


def test_a_path_column_names_the_images(tmp_path: Path) -> None:
    make(tmp_path, {"train.csv": csv("id,path,label", "1,x/a.jpg,0", "2,./y/b,1")}, ["x/a.jpg", "y/b.png"])
    train = train_table(tmp_path, Data(train="train.csv", sample=None, images="{path}"))
    assert train.paths == (tmp_path / "x/a.jpg", tmp_path / "y/b.png")


def test_endings_are_tried_in_their_order_and_in_capitals(tmp_path: Path) -> None:
    make(tmp_path, FILES, ["images/a.png", "images/a.jpg", "images/b.JPG", "images/b.txt"])
    assert {path.name for path in train_table(tmp_path, PLAIN).paths} == {"a.jpg", "b.JPG"}
    data = PLAIN.model_copy(update={"extensions": (".png", ".jpg")})
    assert {path.name for path in train_table(tmp_path, data).paths} == {"a.png", "b.JPG"}


def test_an_ending_may_mix_capitals_and_small_letters(tmp_path: Path) -> None:
    make(tmp_path, FILES, ["images/a.Jpg", "images/a.Txt", "images/b.jPEG"])
    assert {path.name for path in train_table(tmp_path, PLAIN).paths} == {"a.Jpg", "b.jPEG"}


def test_dots_in_ids_are_no_endings(tmp_path: Path) -> None:
    make(tmp_path, {"train.csv": csv("id,label", "1.5,0", "1.25,1")}, ["images/1.5.jpg", "images/1.25.jpg"])
    names = [path.name for path in train_table(tmp_path, PLAIN.model_copy(update={"sample": None})).paths]
    assert names == ["1.5.jpg", "1.25.jpg"]


def test_a_folder_is_a_class(tmp_path: Path) -> None:
    images = [
        "train/cat/1.jpg",
        "train/cat/deep/1.jpg",
        "train/dog/1.jpg",
        "train/dog/2.jpg",
        "train/dog/2.png",
    ]
    make(tmp_path, {"train/dog/notes.txt": "", "train/.hidden/1.jpg": ""}, images)
    train = train_table(tmp_path, Data(train="train", sample=None))
    assert train.ids.tolist() == ["cat/1", "cat/deep/1", "dog/1", "dog/2.jpg", "dog/2.png"]
    assert train.classes == ("cat", "dog")
    assert train.labels is not None
    assert train.labels.tolist() == [0, 0, 1, 1, 1]
    assert train.paths[1] == tmp_path / "train/cat/deep/1.jpg"


def test_an_image_in_no_classs_folder_is_refused(tmp_path: Path) -> None:
    make(tmp_path, {}, ["train/cat/1.jpg", "train/2.jpg"])
    assert train_error(tmp_path, Data(train="train", sample=None)).code == "D30"


MASKS = Data(
    train="train.csv",
    sample=None,
    images="images/{path}/*",
    label="{file}_{gender}_{age}",
    group="id",
    label_from=LabelFrom(
        files={"mask*": "wear", "incorrect_mask": "incorrect", "normal": "not"},
        bins={"age": (30, 60)},
        rename={"wear_male_<30": "0", "not_female_>=60": "11"},
    ),
)


def mask_competition(root: Path) -> Path:
    stems = ["mask1", "mask2", "incorrect_mask", "normal"]
    rows = [
        "id,gender,race,age,path",
        "001,male,Asian,29,001_m",
        "002,female,Asian,60,002_f",
        "003,male,Asian,30,003_m",
    ]
    images = [f"images/{folder}/{stem}.jpg" for folder in ("001_m", "002_f", "003_m") for stem in stems]
    return make(root, {"train.csv": csv(*rows), "images/001_m/._mask1.jpg": ""}, images)


def test_every_photo_of_a_rows_folder_is_a_row(tmp_path: Path) -> None:
    train = train_table(mask_competition(tmp_path), MASKS)
    assert train.ids[:4].tolist() == ["001_incorrect_mask", "001_mask1", "001_mask2", "001_normal"]
    assert len(train) == 12
    assert train.groups is not None
    assert train.groups.tolist() == ["001"] * 4 + ["002"] * 4 + ["003"] * 4
    assert train.labels is not None
    labels = [train.classes[label] for label in train.labels]
    assert labels[:4] == ["incorrect_male_<30", "0", "0", "not_male_<30"]
    assert labels[4:8] == ["incorrect_female_>=60", "wear_female_>=60", "wear_female_>=60", "11"]
    assert labels[8] == "incorrect_male_30-60"
    assert train.frame["file"].tolist()[:2] == ["incorrect_mask", "mask1"]


def test_a_photo_without_a_word_is_listed(tmp_path: Path) -> None:
    make(mask_competition(tmp_path), {}, ["images/002_f/hat.jpg"])
    error = train_error(tmp_path, MASKS)
    assert error.code == "D30"
    assert str(error.cases[0]) == "002_hat: no pattern for 'hat'"


def test_a_number_that_is_none_is_listed(tmp_path: Path) -> None:
    mask_competition(tmp_path)
    (tmp_path / "train.csv").write_text(csv("id,gender,age,path", "001,male,old,001_m"))
    assert train_error(tmp_path, MASKS).code == "D31"


def test_a_folder_without_photos_is_reported(tmp_path: Path) -> None:
    mask_competition(tmp_path)
    (tmp_path / "train.csv").write_text(csv("id,gender,age,path", "004,male,3,004_m"))
    error = train_error(tmp_path, MASKS)
    assert error.code == "D02"
    assert "004" in str(error)


# ------------------------------------------------------------------------------------------- labels


def classes_of(root: Path, labels: Sequence[str], data: Data = PLAIN, **files: str) -> tuple[str, ...]:
    rows = [f"{number},{label}" for number, label in enumerate(labels)]
    make(
        root,
        {"sample.csv": SAMPLE, "train.csv": csv("id,label", *rows)},
        [f"images/{n}.jpg" for n in range(len(labels))],
    )
    make(root, {name.replace("_csv", ".csv"): text for name, text in files.items()})
    return train_table(root, data).classes


def test_classes_are_sorted_as_numbers_where_all_are(tmp_path: Path) -> None:
    assert classes_of(tmp_path, ["10", "9", "-1", "10"]) == ("-1", "9", "10")
    assert classes_of(tmp_path, ["10", "9", "b"]) == ("10", "9", "b")


def test_classes_have_the_order_of_the_samples_columns(tmp_path: Path) -> None:
    assert classes_of(tmp_path, ["a", "b", "c"], sample_csv=csv("id,c,a,b", "t,0,0,1")) == ("c", "a", "b")


def test_the_class_file_decides_before_the_sample(tmp_path: Path) -> None:
    data = PLAIN.model_copy(update={"class_list": "classes.csv"})
    files = {"sample_csv": csv("id,a,b", "t,0,1"), "classes_csv": csv("name,shape", "z,1", "b,1", "a,2")}
    assert classes_of(tmp_path, ["a", "b"], data, **files) == ("z", "b", "a")


def test_a_label_outside_the_classes_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="label 'appel' is not a class; did you mean 'apple'") as caught:
        classes_of(tmp_path, ["apple", "pear", "appel"], sample_csv=csv("id,apple,pear", "t,0,1"))
    assert caught.value.code == "D32"


def test_a_row_without_a_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 training rows have no label"):
        classes_of(tmp_path, ["a", ""])


def test_groups_are_a_column_or_a_pattern_and_never_blank(tmp_path: Path) -> None:
    make(tmp_path, {"train.csv": csv("id,who,day,label", "a,x,1,0", "b,y,1,1")}, IMAGES)
    data = PLAIN.model_copy(update={"sample": None, "group": "{who}-{day}"})
    groups = train_table(tmp_path, data).groups
    assert groups is not None
    assert groups.tolist() == ["x-1", "y-1"]
    with pytest.raises(ConfigError, match=r"data\.group: no column 'whom'; did you mean 'who'"):
        train_table(tmp_path, data.model_copy(update={"group": "whom"}))
    make(tmp_path, {"train.csv": csv("id,who,day,label", "a,,1,0", "b,y,1,1")})
    assert train_error(tmp_path, data.model_copy(update={"group": "who"})).code == "D30"
