"""kit init finds out what the files say, is not misled by other tables, and asks for the rest by name."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from kit.config.models import Data
from kit.data.table import test_table, train_table
from kit.errors import ConfigError
from kit.stages.discovery.discover import discover
from tests.drawn_columns import draw_columns
from tests.drawn_tables import ANIMALS, csv, ids, make, usual

USUAL = {
    "train": "train.csv",
    "test": None,
    "sample": "sample_submission.csv",
    "id": "image_id",
    "label": "label",
    "images": "images/train/{id}",
    "test_images": "images/test/{id}",
    "group": None,
}


def find_data(root: Path, **given: str) -> dict[str, Any]:
    """The section as found, which the tables can be read with."""
    data = discover(root, given).data
    section = Data(**data)
    train = train_table(root, section)
    assert len(train)
    if section.sample or section.test:
        assert len(test_table(root, section, train.classes))
    return data


def holds(data: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    return {key: data.get(key) for key in expected} == dict(expected)


def test_the_usual_layout_needs_no_question(tmp_path: Path) -> None:
    assert holds(find_data(usual(tmp_path)), USUAL)


def test_it_may_lie_in_a_folder(tmp_path: Path) -> None:
    data = find_data(usual(tmp_path, "data/"))
    assert (data["train"], data["images"]) == ("data/train.csv", "data/images/train/{id}")


def test_other_tables_mislead_nobody(tmp_path: Path) -> None:
    usual(tmp_path)
    answers = [f"{name},{ANIMALS[n % 3]}" for n, name in enumerate(ids("t", 12))]
    best = [f"{name},{ANIMALS[n % 2]}" for n, name in enumerate(ids("t", 12))]
    make(
        tmp_path,
        {
            "answers.csv": csv("image_id,label", *answers),
            "leaderboard/public.csv": csv("image_id,label", *answers[::3]),
            "submissions/0001-first.csv": csv("image_id,label", *best),
            "submission_best.csv": csv("image_id,label", *best),
            "old/train_folds.csv": csv("image_id,label,fold", *(f"{name},cat,0" for name in ids("a", 30))),
            "classes.csv": csv("label,shape_group", "eel,long", "cat,furry", "dog,furry"),
            "notes.csv": "a,b\n1\n",
            "runs/r/folds.csv": csv("id,fold", *(f"{name},0" for name in ids("a", 30))),
        },
    )
    found_out = discover(tmp_path)
    assert holds(found_out.data, {**USUAL, "class_list": "classes.csv"})
    text = "\n".join(found_out.findings)
    assert "left aside: answers.csv, leaderboard/public.csv, old/train_folds.csv, submission_best.csv" in text
    assert "not read: notes.csv: D27" in text


def test_names_of_tables_may_do_not_warn(tmp_path: Path) -> None:
    usual(tmp_path)
    (tmp_path / "train.csv").rename(tmp_path / "one.csv")
    (tmp_path / "sample_submission.csv").rename(tmp_path / "two.csv")
    assert holds(find_data(tmp_path), {**USUAL, "train": "one.csv", "sample": "two.csv"})


def test_the_same_ids_in_train_and_test_are_distinguished_by_their_folders(tmp_path: Path) -> None:
    train = [f"{number},{ANIMALS[number % 3]}" for number in range(30)]
    files = {
        "train.csv": csv("id,label", *train),
        "sample_submission.csv": csv("id,label", *(f"{n},cat" for n in range(12))),
    }
    images = [f"images/train/{n}.png" for n in range(30)] + [f"images/test/{n}.png" for n in range(12)]
    expected = {"images": "images/train/{id}", "test_images": "images/test/{id}"}
    assert holds(find_data(make(tmp_path, files, images)), expected)


def test_a_sample_with_a_column_a_class_names_the_label(tmp_path: Path) -> None:
    usual(tmp_path)
    rows = [f"{name},{n % 2},{ANIMALS[n % 3]}" for n, name in enumerate(ids("a", 30))]
    make(
        tmp_path,
        {
            "train.csv": csv("image_id,type,species", *rows),
            "sample_submission.csv": csv("image_id,cat,dog,eel", *(f"{name},0,0,0" for name in ids("t", 12))),
        },
    )
    assert find_data(tmp_path)["label"] == "species"


def test_a_test_table_that_says_more_is_used_and_tells_the_group(tmp_path: Path) -> None:
    usual(tmp_path)
    rows = [f"{name},{ANIMALS[n % 3]},p{n // 3}" for n, name in enumerate(ids("a", 30))]
    make(
        tmp_path,
        {
            "train.csv": csv("image_id,label,whose", *rows),
            "test.csv": csv("image_id,whose", *(f"{name},q{n // 3}" for n, name in enumerate(ids("t", 12)))),
        },
    )
    found_out = discover(tmp_path)
    assert holds(found_out.data, {**USUAL, "test": "test.csv", "group": "whose"})
    assert any("group: 'whose', 10 values, none of them in test" in line for line in found_out.findings)


def test_a_column_named_as_a_group_is_one_unless_test_shares_its_values(tmp_path: Path) -> None:
    usual(tmp_path)
    rows = [f"{name},{ANIMALS[n % 3]},p{n // 3}" for n, name in enumerate(ids("a", 30))]
    make(tmp_path, {"train.csv": csv("image_id,label,patient_id", *rows)})
    assert find_data(tmp_path)["group"] == "patient_id"
    make(
        tmp_path,
        {"test.csv": csv("image_id,patient_id", *(f"{name},p{n}" for n, name in enumerate(ids("t", 12))))},
    )
    assert find_data(tmp_path)["group"] is None


def test_a_path_column_is_the_pattern(tmp_path: Path) -> None:
    rows = [f"{n},pics/{ANIMALS[n % 3]}/{n}.png,{ANIMALS[n % 3]}" for n in range(30)]
    make(tmp_path, {"train.csv": csv("row_id,path,label", *rows)}, [row.split(",")[1] for row in rows])
    assert holds(find_data(tmp_path), {"id": "row_id", "images": "{path}", "label": "label", "sample": None})


def test_a_folder_named_by_a_column_is_part_of_the_pattern(tmp_path: Path) -> None:
    rows = [f"{n:03d},{ANIMALS[n % 3]}" for n in range(30)]
    make(
        tmp_path,
        {"train.csv": csv("id,label", *rows)},
        [f"train/{ANIMALS[n % 3]}/{n:03d}.jpg" for n in range(30)],
    )
    assert holds(find_data(tmp_path), {"images": "train/{label}/{id}", "label": "label"})


def test_a_folder_is_a_class(tmp_path: Path) -> None:
    images = [f"images/train/{ANIMALS[n % 3]}/{n}.jpg" for n in range(30)]
    images += [f"images/test/{name}.jpg" for name in ids("t", 12)]
    make(
        tmp_path,
        {"sample_submission.csv": csv("id,label", *(f"{name}.jpg,cat" for name in ids("t", 12)))},
        images,
    )
    expected = {"train": "images/train", "sample": "sample_submission.csv", "test_images": "images/test/{id}"}
    assert holds(find_data(tmp_path), expected)


def one_hot(root: Path, second: str = "0") -> Path:
    """Training labels in a column a class, as the sample has them; `second` is a further mark in the first row."""
    marks = [["1" if n % 3 == k else "0" for k in range(3)] for n in range(30)]
    marks[0][1] = second
    train = [f"{name},{','.join(row)}" for name, row in zip(ids("a", 30), marks, strict=True)]
    sample = [f"{name},0.3,0.3,0.4" for name in ids("t", 12)]
    header = f"image_id,{','.join(ANIMALS)}"
    files = {"train.csv": csv(header, *train), "sample_submission.csv": csv(header, *sample)}
    images = [f"images/{name}.jpg" for name in (*ids("a", 30), *ids("t", 12))]
    return make(root, files, images)


def test_a_training_column_a_class_is_one_label(tmp_path: Path) -> None:
    data = find_data(one_hot(tmp_path))
    assert (data["label"], data["label_from"]) == ("label", {"one_hot": list(ANIMALS)})
    train = train_table(tmp_path, Data(**data))
    assert train.classes == ANIMALS
    assert train.targets().tolist() == [n % 3 for n in range(30)]


def test_rows_of_several_classes_are_not_made_rows_of_one(tmp_path: Path) -> None:
    discovery = discover(one_hot(tmp_path, second="1"))
    assert (discovery.data["label"], "label_from" in discovery.data) == (None, False)
    assert "3 columns of 0 and 1, several labels per row or none" in discovery.findings[0]
    train = train_table(tmp_path, Data(**discovery.data))
    assert (train.classes, train.is_multi_label) == (ANIMALS, True)
    assert train.targets()[:2].tolist() == [[1, 1, 0], [0, 1, 0]]


def several(root: Path, cells: Sequence[str], sample: str = "cat") -> Path:
    """Training rows with these cells as labels, one after the other."""
    train = [f'{name},"{cells[n % len(cells)]}"' for n, name in enumerate(ids("a", 30))]
    rows = [f'{name},"{sample}"' for name in ids("t", 12)]
    files = {"train.csv": csv("image,labels", *train), "sample_submission.csv": csv("image,labels", *rows)}
    return make(root, files, [f"images/{name}.jpg" for name in (*ids("a", 30), *ids("t", 12))])


@pytest.mark.parametrize("separator", [" ", ",", ";", "|", ", "])
def test_several_labels_in_a_cell_are_found_and_said(separator: str, tmp_path: Path) -> None:
    cells = ["cat", "dog", f"cat{separator}dog", "eel", separator.join(ANIMALS), ""]
    discovery = discover(several(tmp_path, cells))
    mark = separator.strip() or " "
    assert (discovery.data["label"], discovery.data["label_separator"]) == ("labels", mark)
    said = f"several labels per row, separated by {mark!r}: 3 labels in 5 different cells, up to 3 in one"
    assert any(line.startswith(said) for line in discovery.findings)
    train = train_table(tmp_path, Data(**discovery.data))
    assert train.classes == ANIMALS
    assert train.label_names(4) == ANIMALS


@pytest.mark.parametrize(
    "cells",
    [
        ["red apple", "green apple", "red pear", "green pear", "blue plum", "red plum"],
        ["apple", "red apple", "pear", "red pear", "plum", "blue plum"],
        ["apple", "red apple", "pear", "red pear", "plum", "red plum"],
        ["powdery mildew", "rust", "leaf spot", "healthy"],
        ["1 2", "2 3", "1 3 4", "4"],
        ["Paris, France", "Rome, Italy", "Oslo"],
        ["cat", "dog"],
    ],
    ids=[
        "two words each",
        "a word that comes once",
        "a word that names no class",
        "words that do not come again",
        "no fewer than cells",
        "commas",
        "single",
    ],
)
def test_names_of_several_words_stay_whole(cells: list[str], tmp_path: Path) -> None:
    assert "label_separator" not in find_data(several(tmp_path, cells, sample=cells[0]))


def test_numbers_need_no_cell_of_their_own(tmp_path: Path) -> None:
    cells = ["7 12", "7 30 41", "12 30", "41 7", "12 41 30", "30 7 12 41"]
    assert find_data(several(tmp_path, cells, sample="0"))["label_separator"] == " "


def test_a_separator_that_is_given_is_taken(tmp_path: Path) -> None:
    root = several(tmp_path, ["red apple", "green apple", "red pear", "green pear"])
    discovery = discover(root, {"label_separator": " "})
    assert discovery.data["label_separator"] == " "
    assert train_table(root, Data(**discovery.data)).classes == ("apple", "green", "pear", "red")


@pytest.mark.parametrize("batches", [1, 2])
def test_a_class_may_hold_folders(tmp_path: Path, batches: int) -> None:
    images = [f"data/train/{ANIMALS[n % 3]}/batch{n % batches}/{n}.jpg" for n in range(30)]
    make(tmp_path, {}, [*images, *(f"data/test/{name}.jpg" for name in ids("t", 12))])
    data = find_data(tmp_path)
    assert data["train"] == "data/train"
    assert train_table(tmp_path, Data(**data)).classes == ANIMALS


def test_two_folders_of_classes_are_named(tmp_path: Path) -> None:
    images = [f"all/{kind}/{name}/{n}.jpg" for kind in ("pets", "farm") for name in "xyz" for n in range(3)]
    make(tmp_path, {}, images)
    with pytest.raises(ConfigError, match="3 candidates for the folder of classes") as caught:
        discover(tmp_path)
    assert {case.path for case in caught.value.cases} == {"all", "all/pets", "all/farm"}


def test_a_folder_beside_the_classes_is_none_of_them(tmp_path: Path) -> None:
    images = [f"all/flowers/{name}/{n}.jpg" for name in "xyz" for n in range(3)]
    make(tmp_path, {}, [*images, *(f"all/unlabelled/{n}.jpg" for n in range(9))])
    assert find_data(tmp_path)["train"] == "all/flowers"


def masks(root: Path) -> Path:
    stems = ("mask1", "mask2", "mask3", "incorrect_mask", "normal")
    rows = [f"{n:06d},{('male', 'female')[n % 2]},Asian,{20 + n},{n:06d}_x_Asian" for n in range(12)]
    images = [f"train/images/{row.split(',')[-1]}/{stem}.jpg" for row in rows for stem in stems]
    images += [f"eval/images/{name}.jpg" for name in ids("t", 12)]
    sample = csv("ImageID,ans", *(f"{name}.jpg,0" for name in ids("t", 12)))
    return make(
        root, {"train/train.csv": csv("id,gender,race,age,path", *rows), "eval/info.csv": sample}, images
    )


def test_photos_of_a_row_need_only_the_labels_pattern(tmp_path: Path) -> None:
    masks(tmp_path)
    with pytest.raises(ConfigError, match="no column is evidently the label") as caught:
        discover(tmp_path)
    assert caught.value.code == "C20"
    assert "{file}" in caught.value.hint
    data = find_data(tmp_path, label="{file}_{gender}")
    expected = {
        "train": "train/train.csv",
        "sample": "eval/info.csv",
        "id": "id",
        "images": "train/images/{path}/*",
        "test_images": "eval/images/{ImageID}",
        "group": "id",
        "label_from": {"files": {"mask*": "mask", "incorrect_mask": "incorrect_mask", "normal": "normal"}},
    }
    assert holds({**data, "test_images": data["test_images"].replace("{id}", "{ImageID}")}, expected)
    train = train_table(tmp_path, Data(**data))
    assert len(train) == 60
    assert len(train.classes) == 6


def test_another_separator_and_encoding_are_found(tmp_path: Path) -> None:
    usual(tmp_path)
    for name in ("train.csv", "sample_submission.csv"):
        text = (tmp_path / name).read_text().replace(",", ";").replace("eel", "éel")
        (tmp_path / name).write_bytes(text.encode("cp1252"))
    (tmp_path / "sample_submission.csv").write_bytes(
        (tmp_path / "sample_submission.csv").read_bytes().replace(b"cat", b"\xe9el")
    )
    assert holds(find_data(tmp_path), {**USUAL, "sep": ";", "encoding": "cp1252"})


@pytest.mark.parametrize("sample", ["ascii", "cp1252", "utf-8"])
def test_tables_of_two_encodings_are_read_together(sample: str, tmp_path: Path) -> None:
    usual(tmp_path)
    train = (tmp_path / "train.csv").read_text().replace("eel", "\u00e9el")
    (tmp_path / "train.csv").write_bytes(train.encode("cp1252"))
    text = (tmp_path / "sample_submission.csv").read_text()
    text = text if sample == "ascii" else text.replace("cat", "\u00e9el", 1)
    (tmp_path / "sample_submission.csv").write_bytes(text.encode(sample))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert holds(find_data(tmp_path), {**USUAL, "encoding": "cp1252"})
        assert train_table(tmp_path, Data(**discover(tmp_path).data)).classes == ("cat", "dog", "\u00e9el")


def test_a_list_of_classes_has_no_separator(tmp_path: Path) -> None:
    usual(tmp_path)
    for name in ("train.csv", "sample_submission.csv"):
        (tmp_path / name).write_text((tmp_path / name).read_text().replace(",", ";"))
    make(tmp_path, {"classes.csv": csv("name", "dog", "cat", "eel")})
    assert find_data(tmp_path)["sep"] == ";"
    (tmp_path / "sample_submission.csv").write_text("image_id,label\nt00,cat\n")
    data = discover(tmp_path, {"sample": "sample_submission.csv"}).data
    assert (data["sep"], data["tables"]) == (",", {"train.csv": {"sep": ";"}})


def test_missing_images_are_left_to_the_table_to_tell(tmp_path: Path) -> None:
    usual(tmp_path)
    (tmp_path / "images/train/a007.jpg").unlink()
    assert holds(discover(tmp_path).data, USUAL)


def test_two_columns_that_could_be_the_label_are_named(tmp_path: Path) -> None:
    usual(tmp_path)
    rows = [f"{name},{n % 2},{n % 3}" for n, name in enumerate(ids("a", 30))]
    make(tmp_path, {"train.csv": csv("image_id,first,second", *rows)})
    (tmp_path / "sample_submission.csv").unlink()
    with pytest.raises(ConfigError) as caught:
        discover(tmp_path)
    assert [case.path for case in caught.value.cases] == ["first", "second"]
    assert find_data(tmp_path, label="second")["label"] == "second"


def test_two_tables_that_could_be_the_training_rows_are_named(tmp_path: Path) -> None:
    usual(tmp_path)
    (tmp_path / "train_b.csv").write_text((tmp_path / "train.csv").read_text())
    with pytest.raises(ConfigError, match="2 candidates for the labelled rows") as caught:
        discover(tmp_path)
    assert {case.path for case in caught.value.cases} == {"train.csv", "train_b.csv"}
    assert "--train" in caught.value.hint
    assert find_data(tmp_path, train="train_b.csv")["train"] == "train_b.csv"


def test_a_folder_without_a_competition_is_reported_what_is_missing(tmp_path: Path) -> None:
    make(tmp_path, {"notes.csv": csv("a,b", "1,2")}, ["pictures/x.jpg"])
    with pytest.raises(ConfigError, match="no labelled rows found") as caught:
        discover(tmp_path)
    assert caught.value.exit_code == 2
    assert "--train" in caught.value.hint


def test_what_is_given_is_taken(tmp_path: Path) -> None:
    usual(tmp_path)
    data = find_data(tmp_path, group="label", images="images/train/{image_id}.jpg")
    assert (data["group"], data["images"]) == ("label", "images/train/{image_id}.jpg")
    with pytest.raises(ConfigError, match=r"--train: no table 'trian\.csv'; did you mean 'train\.csv'"):
        discover(tmp_path, {"train": "trian.csv"})


def test_columns_of_both_tables_that_may_say_more_are_listed(tmp_path: Path) -> None:
    """No id, no label, no constant, no text of each row, and none that the test table lacks."""
    root = draw_columns(tmp_path / "space")
    for split in ("train", "test"):
        file = root / "data" / f"{split}.csv"
        head, *rows = file.read_text().splitlines()
        more = [f"{row},x,note {number}" for number, row in enumerate(rows)]
        file.write_text("\n".join([f"{head},same,note", *more]) + "\n")
    (line,) = (text for text in discover(root).findings if text.startswith("side columns"))
    assert line.endswith("""columns=mlp 'data.columns=["age","site","taken","turn"]' learns from them""")
