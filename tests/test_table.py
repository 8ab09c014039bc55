"""Tables: rows from every layout, text as text, and a clear word for what cannot be used."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from kit.config import Data
from kit.errors import ConfigError, DataError, KitError, KitWarning
from kit.table import sample_frame, test_table, train_table


def make(root: Path, files: Mapping[str, str] | None = None, images: Sequence[str] = ()) -> Path:
    """A workspace with these text files, and an empty file for each image (tables do not open images)."""
    for name, text in {**(files or {}), **dict.fromkeys(images, "")}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def csv(*rows: str) -> str:
    return "\n".join(rows) + "\n"


PLAIN = Data(train="train.csv", sample="sample.csv", images="images/{id}")
TRAIN = csv("id,label", "b,dog", "a,cat")
SAMPLE = csv("id,label", "t2,cat", "t1,cat")
FILES = {"train.csv": TRAIN, "sample.csv": SAMPLE}
IMAGES = ["images/a.jpg", "images/b.png", "images/t1.jpg", "images/t2.jpg"]


def train_error(root: Path, data: Data = PLAIN) -> KitError:
    with pytest.raises(KitError) as caught:
        train_table(root, data)
    return caught.value


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
        update={"test": "test.csv", "test_images": "other/{folder}/{id}", "average_group": "box"}
    )
    test = test_table(tmp_path, data, ("cat",))
    assert test.ids.tolist() == ["t1", "t3"]
    assert test.frame["box"].tolist() == ["b", "b"]
    with pytest.raises(ConfigError, match="no column 'bx'"):
        test_table(tmp_path, data.model_copy(update={"average_group": "bx"}), ())


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
    file_labels={"mask*": "wear", "incorrect_mask": "incorrect", "normal": "not"},
    bins={"age": (30, 60)},
    rename={"wear_male_<30": "0", "not_female_>=60": "11"},
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
    made = [train.classes[label] for label in train.labels]
    assert made[:4] == ["incorrect_male_<30", "0", "0", "not_male_<30"]
    assert made[4:8] == ["incorrect_female_>=60", "wear_female_>=60", "wear_female_>=60", "11"]
    assert made[8] == "incorrect_male_30-60"
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


def test_a_folder_without_photos_is_told(tmp_path: Path) -> None:
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
    data = PLAIN.model_copy(update={"classes": "classes.csv"})
    files = {"sample_csv": csv("id,a,b", "t,0,1"), "classes_csv": csv("name,shape", "z,1", "b,1", "a,2")}
    assert classes_of(tmp_path, ["a", "b"], data, **files) == ("z", "b", "a")


def test_a_label_outside_the_classes_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="label 'appel' is no class; did you mean 'apple'") as caught:
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


# ---------------------------------------------------------------------------------------- bad input


def test_a_missing_image_is_told_with_what_was_tried_and_what_is_there(tmp_path: Path) -> None:
    make(tmp_path, FILES, ["images/a.jpg", "images/b.jfif"])
    error = train_error(tmp_path)
    assert (error.code, error.exit_code) == ("D02", 3)
    assert f"no image for id 'b' (looked for b.jpg, b.jpeg … in {tmp_path}/images)" in error.summary
    assert ".jpg (1)" in error.hint
    assert ".jfif (1)" in error.hint


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
    data = PLAIN.model_copy(update={"bad_test": "prior", "bad_train": "drop"})
    assert test_table(tmp_path, data, ()).ids.tolist() == ["t2", "t1"]
    assert not train_table(tmp_path, data).paths[0].exists()


def test_a_directory_named_as_an_image_is_told(tmp_path: Path) -> None:
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
    monkeypatch.setattr(os, "scandir", lambda folder: listed.append(str(folder)) or scandir(folder))
    error = train_error(tmp_path)
    assert (error.code, error.exit_code) == ("D20", 3)
    assert "id leaves the image root" in error.summary
    assert set(listed) <= {str(tmp_path / "images")}


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


def test_ids_that_differ_only_by_case_are_told(tmp_path: Path) -> None:
    make(
        tmp_path, {**FILES, "train.csv": csv("id,label", "a,cat", "A,dog")}, ["images/a.jpg", "images/A.jpg"]
    )
    with pytest.warns(KitWarning, match="W03 2 train ids differ only by case: a, A"):
        train_table(tmp_path, PLAIN)


@pytest.mark.parametrize("name", ["", "  "])
def test_a_blank_id_is_told_with_its_row(tmp_path: Path, name: str) -> None:
    make(tmp_path, {**FILES, "train.csv": csv("id,label", "a,cat", f"{name},dog")}, IMAGES)
    error = train_error(tmp_path)
    assert error.code == "D23"
    assert "row 3 has no id" in str(error)


def test_double_ids_are_told_with_their_rows(tmp_path: Path) -> None:
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
    assert "id 'a' is on rows 2, 4" in str(error)
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
    count = 20_000  # 0.2 s where it was written
    rows = [f"{number:06d},{number % 7}" for number in range(count)]
    make(tmp_path, {"train.csv": csv("id,label", *rows)}, ["images/000000.jpg"])
    data = PLAIN.model_copy(update={"sample": None, "bad_train": "drop"})
    started = time.perf_counter()
    assert len(train_table(tmp_path, data)) == count
    assert time.perf_counter() - started < 3
