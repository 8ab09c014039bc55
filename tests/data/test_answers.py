"""data.answer: which images share an answer, whether they agree, and a row per answer, against pandas' groupby."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.config.models import Data, External
from kit.config.workspace import Workspace
from kit.data.answers import check_same_weights
from kit.data.folds import make_folds
from kit.data.table import Table, sample_frame, test_table, train_table
from kit.errors import ConfigError, DataError, KitError
from kit.kinds import Splitter
from tests.drawn_tables import PLAIN, csv, make, train_error

CLIPS = PLAIN.model_copy(update={"id": "frame", "answer": "clip"})
TRAIN = csv("frame,clip,label,site", "a,x,dog,1", "b,y,cat,1", "c,x,dog,2", "d,z,dog,3")
FILES = {"train.csv": TRAIN, "sample.csv": csv("clip,label", "u,cat", "v,cat")}
IMAGES = [f"images/{name}.png" for name in "abcd"]


def read(root: Path, text: str = TRAIN, data: Data = CLIPS) -> Table:
    make(root, {**FILES, "train.csv": text}, IMAGES)
    return train_table(root, data)


def test_a_row_per_answer_is_the_first_of_pandas_groups(tmp_path: Path) -> None:
    table = read(tmp_path)
    answers = table.by_answer
    frame = table.frame.assign(number=table.labels).groupby("clip").first()
    assert answers.ids.tolist() == frame.index.tolist()
    assert answers.labels is not None
    assert answers.labels.tolist() == frame["number"].tolist()
    assert answers.answers is None
    assert [path.stem for path in answers.paths] == frame["frame"].tolist()
    assert list(answers.frame.columns) == ["clip", "label"], "the others differ within x"


def test_without_the_key_each_image_is_its_own_answer(tmp_path: Path) -> None:
    table = read(tmp_path, data=CLIPS.model_copy(update={"answer": None}))
    assert table.by_answer is table


@pytest.mark.parametrize("answer", ["{folder}", "{prefix}"])
def test_an_answer_may_be_a_folder_or_the_beginning_of_a_name(answer: str, tmp_path: Path) -> None:
    text = csv("frame,label", "x/x_1,dog", "y/y_1,cat", "x/x_2,dog")
    make(tmp_path, {"train.csv": text}, [f"images/{name}.png" for name in ("x/x_1", "x/x_2", "y/y_1")])
    data = CLIPS.model_copy(update={"answer": answer, "sample": None})
    assert [name.rpartition("/")[2] for name in train_table(tmp_path, data).by_answer.ids.tolist()] == [
        "x",
        "y",
    ]


def test_images_of_one_answer_with_two_labels_are_named(tmp_path: Path) -> None:
    make(tmp_path, {**FILES, "train.csv": TRAIN.replace("c,x,dog", "c,x,cat")}, IMAGES)
    error = train_error(tmp_path, CLIPS)
    assert error.code == "D89"
    assert "the images of 1 of 3 answers have different labels" in error.summary
    assert "answer 'x': a (dog), c (cat)" in str(error)


def test_images_of_one_answer_with_two_sets_of_labels_are_named(tmp_path: Path) -> None:
    text = csv("frame,clip,label", "a,x,dog cat", "b,y,cat", "c,x,cat dog", "d,y,")
    make(tmp_path, {**FILES, "train.csv": text}, IMAGES)
    error = train_error(tmp_path, CLIPS.model_copy(update={"label_separator": " "}))
    assert error.code == "D89"
    assert "answer 'y': b (cat), d (no label)" in str(error)
    assert "'x'" not in str(error)


def test_images_of_one_answer_with_two_weights_are_named_if_the_metric_uses_them(tmp_path: Path) -> None:
    table = read(tmp_path, data=CLIPS.model_copy(update={"weight": "site"}))
    with pytest.raises(DataError, match="different weights, which the metric uses") as caught:
        check_same_weights(table)
    assert caught.value.code == "D89"
    assert "answer 'x': a (1), c (2)" in str(caught.value)


def test_an_image_without_an_answer_is_named(tmp_path: Path) -> None:
    make(tmp_path, {**FILES, "train.csv": TRAIN.replace("b,y,", "b, ,")}, IMAGES)
    error = train_error(tmp_path, CLIPS)
    assert error.code == "D30"
    assert str(error).startswith("D30 1 training rows have no answer (data.answer 'clip')\n  b: no answer\n")


def test_a_column_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    make(tmp_path, FILES, IMAGES)
    error = train_error(tmp_path, CLIPS.model_copy(update={"answer": "clib"}))
    assert error.code == "C07"
    assert "data.answer: no column 'clib'; did you mean 'clip'?" in error.summary


def test_an_answer_that_the_sample_asks_for_twice_is_refused(tmp_path: Path) -> None:
    make(tmp_path, {**FILES, "sample.csv": csv("clip,label", "u,cat", "v,cat", "u,dog")}, IMAGES)
    with pytest.raises(DataError) as caught:
        sample_frame(tmp_path, CLIPS)
    assert caught.value.code == "D24"


def test_the_samples_ids_are_the_answers_of_a_folder_of_photos_each(tmp_path: Path) -> None:
    photos = ["photos/u/1.png", "photos/u/2.png", "photos/v/1.png"]
    make(tmp_path, {**FILES, "sample.csv": csv("clip_id,label", "u,cat", "v,cat")}, [*IMAGES, *photos])
    test = test_table(tmp_path, CLIPS.model_copy(update={"test_images": "photos/{id}/*"}), ())
    assert test.ids.tolist() == ["u_1", "u_2", "v_1"]
    assert test.answers is not None
    assert test.answers.tolist() == ["u", "u", "v"]


def test_an_answer_with_an_empty_folder_of_photos_is_refused(tmp_path: Path) -> None:
    make(tmp_path, FILES, [*IMAGES, "photos/u/1.png"])
    (tmp_path / "photos" / "v").mkdir()
    with pytest.raises(KitError, match="photos/v"):
        test_table(tmp_path, CLIPS.model_copy(update={"test_images": "photos/{id}/*"}), ())


def test_a_group_that_shares_an_answer_with_another_is_one_with_it(tmp_path: Path) -> None:
    table = read(tmp_path, data=CLIPS.model_copy(update={"group": "site"}))
    groups = dict(zip(table.by_answer.ids.tolist(), np.asarray(table.by_answer.groups).tolist(), strict=True))
    assert groups["x"] == groups["y"], "x is in the groups 1 and 2, y in 1"
    assert groups["z"] != groups["x"]


def many(count: int, labels: int = 2, **columns: list[str]) -> Table:
    """Images r0, r1 ... of answers with one to four images each, and the labels of the answers."""
    answers = np.repeat(
        [f"s{number:02d}" for number in range(count)], [1 + number % 4 for number in range(count)]
    )
    truth = np.array([int(name[1:]) % labels for name in answers.tolist()])
    ids = np.array([f"r{row:03d}" for row in range(len(answers))])
    return Table(
        ids,
        [Path(f"/nowhere/{name}") for name in ids],
        tuple(f"k{label}" for label in range(labels)),
        truth,
        answers=answers,
        frame=pd.DataFrame(columns),
    )


@pytest.mark.parametrize("splitter", ["kfold", "stratified_kfold", "holdout"])
def test_images_of_one_answer_share_a_fold_whatever_the_splitter(splitter: str) -> None:
    table = many(40)
    folds = make_folds(table, Splitter.open(splitter), 0)
    numbers = pd.DataFrame({"answer": table.answers, "fold": folds.numbers[:, 0]})
    assert (numbers.groupby("answer")["fold"].nunique() == 1).all()


def test_folds_are_balanced_over_answers_and_not_over_images() -> None:
    table = many(40)
    folds = make_folds(table, Splitter.open({"name": "stratified_kfold", "folds": 4}), 0)
    frame = pd.DataFrame({"answer": table.answers, "fold": folds.numbers[:, 0], "label": table.labels})
    counts = frame.drop_duplicates("answer").groupby(["fold", "label"]).size()
    assert counts.tolist() == [5] * 8


def test_answers_and_groups_share_folds_together() -> None:
    table = many(12)
    assert table.answers is not None
    people = np.char.add("p", (np.char.lstrip(table.answers, "s").astype(int) // 3).astype(str))
    grouped = replace(table, groups=people)
    folds = make_folds(grouped, Splitter.open({"name": "group_kfold", "folds": 2}), 0)
    frame = pd.DataFrame({"person": people, "fold": folds.numbers[:, 0]})
    assert (frame.groupby("person")["fold"].nunique() == 1).all()
    assert np.asarray(grouped.by_answer.groups).tolist() == [f"p{number // 3}" for number in range(12)]


def test_external_images_need_no_answer_and_have_no_row_of_their_own(tmp_path: Path) -> None:
    make(
        tmp_path,
        {**FILES, "more.csv": csv("frame,label,source", "e,cat,web", "f,dog,web")},
        [*IMAGES, "images/e.png", "images/f.png"],
    )
    table = train_table(tmp_path, CLIPS.model_copy(update={"external": External(train="more.csv")}))
    assert table.answers is not None
    assert table.answers.tolist() == ["x", "y", "x", "z", "web e", "web f"]
    assert table.by_answer.ids.tolist() == ["x", "y", "z"]
    assert table.by_answer.sources is None


def test_the_removed_key_names_the_new_one(tmp_path: Path) -> None:
    make(tmp_path, {"config.json": '{"data": {"average_predictions_by": "clip"}}'})
    with pytest.raises(ConfigError, match="did you mean 'answer'") as caught:
        Workspace.open(tmp_path)
    assert caught.value.code == "C02"
