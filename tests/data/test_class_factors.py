"""Labels made of factors: where their values come from, and a competition trained, predicted and blended with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kit.config.models import Data, LabelFrom
from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.table import train_table
from kit.errors import ConfigError, DataError
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train
from tests.blends import submit_blend
from tests.drawing import draw_competition
from tests.drawn_tables import csv, make

ROWS = ("id,age,gender,label", "a,20,male,0", "b,64,male,1", "c,21,female,2", "d,61,female,3")
LISTED = ("label,gender,old", "0,male,no", "1,male,yes", "2,female,no", "3,female,yes")
IMAGES = [f"images/{name}.png" for name in "abcd"]
DATA = Data(train="train.csv", sample=None, images="images/{id}", label_from=LabelFrom(bins={"age": (60,)}))


def table_of(root: Path, *rows: str, **keys: object) -> tuple[tuple[str, ...], ...]:
    data = Data.model_validate({**DATA.model_dump(), **keys})
    return train_table(make(root, {"train.csv": csv(*rows)}, IMAGES), data).class_factors


def test_factors_are_columns_of_the_list_of_classes(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text(csv(*LISTED))
    factors = table_of(tmp_path, *ROWS, class_list="classes.csv", label_parts=("old", "gender"))
    assert factors == (("no", "male"), ("yes", "male"), ("no", "female"), ("yes", "female"))


def test_factors_are_else_the_parts_that_labels_are_made_of(tmp_path: Path) -> None:
    names = {"male_<60": "0", "male_>=60": "1", "female_<60": "2", "female_>=60": "3"}
    label_pattern = DATA.label_from.model_copy(update={"rename": names})
    keys = {"label": "{gender}_{age}", "label_from": label_pattern, "label_parts": ("gender", "age")}
    factors = table_of(tmp_path, *ROWS, **keys)
    assert factors == (("male", "<60"), ("male", ">=60"), ("female", "<60"), ("female", ">=60"))


def test_photos_of_a_row_give_the_word_of_their_file(tmp_path: Path) -> None:
    images = [f"images/{folder}/{stem}.png" for folder in "pq" for stem in ("mask1", "mask2", "normal")]
    make(tmp_path, {"train.csv": csv("id,gender,path", "1,male,p", "2,female,q")}, images)
    data = Data(
        train="train.csv",
        sample=None,
        images="images/{path}/*",
        label="{file}_{gender}",
        label_from=LabelFrom(
            files={"mask*": "wear", "normal": "not"}, rename={"wear_male": "0", "not_female": "3"}
        ),
        label_parts=("file", "gender"),
    )
    table = train_table(tmp_path, data)
    assert dict(zip(table.classes, table.class_factors, strict=True)) == {
        "0": ("wear", "male"),
        "3": ("not", "female"),
        "not_male": ("not", "male"),
        "wear_female": ("wear", "female"),
    }


def test_rows_of_a_class_that_disagree_are_named(tmp_path: Path) -> None:
    rows = [*ROWS[:-1], "d,61,female,2"]
    with pytest.raises(DataError, match=r"D22 1 of 3 classes do not have exactly one value .* age") as caught:
        table_of(tmp_path, *rows, label_parts=("gender", "age"))
    assert [str(case) for case in caught.value.cases] == ["2: its rows have female/<60 and female/>=60"]


def test_a_class_without_rows_needs_the_list_of_classes(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text(csv("label", "0", "1", "2", "3", "4"))
    with pytest.raises(
        DataError, match=r"D22[\s\S]*4: it has no training row[\s\S]*try: set data.class_list"
    ):
        table_of(tmp_path, *ROWS, class_list="classes.csv", label_parts=("gender",))


def test_a_factor_that_is_no_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"C07[\s\S]*gendre: no such column; did you mean 'gender'"):
        table_of(tmp_path, *ROWS, label_parts=("gendre",))
    (tmp_path / "classes.csv").write_text(csv(*LISTED))
    with pytest.raises(ConfigError, match=r"C07[\s\S]*not in [\s\S]*classes.csv[\s\S]*hold: no such column"):
        table_of(tmp_path, *ROWS, class_list="classes.csv", label_parts=("gender", "hold"))


def test_a_blank_value_is_named(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text(csv(*LISTED[:-1], "3,female, "))
    with pytest.raises(DataError, match="D22 1 factors of classes are blank") as caught:
        table_of(tmp_path, *ROWS, class_list="classes.csv", label_parts=("gender", "old"))
    assert [str(case) for case in caught.value.cases] == ["3: old is blank"]


@pytest.fixture
def factored(tmp_path: Path) -> Path:
    """Three classes of two factors, of which one combination is no class."""
    data = {"class_list": "data/classes.csv", "label_parts": ["edge", "shape"]}
    loss = {"name": "cutmix", "base": {"name": "factors", "base": "label_smoothing"}}
    root = draw_competition(tmp_path / "space", data=data, loss=loss, epochs=1)
    (root / "data" / "classes.csv").write_text(
        "label,shape,edge\nring,round,thin\nblob,round,full\ncross,x,thin\n"
    )
    return root


def test_a_competition_of_factors_trains_predicts_and_blends(factored: Path) -> None:
    train(factored, name="a")
    train(factored, ["loss=factors", "loss.base=arcface", "pooling=gem"], name="b")
    train(factored, ["loss=cross_entropy"], name="c")
    for name in "abc":
        (tta_result,) = tta(factored, [f"runs/{name}"], "hflip")
        predictions = Predictions.read(tta_result.folder / "test.parquet").mean()
        assert predictions.probabilities.shape == (12, 3)
        np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, atol=1e-5)
    written = submit_blend(Workspace.open(factored), ["runs/a@hflip", "runs/b@hflip", "runs/c@hflip"])
    assert (written.rows, written.test_rows) == (60, 12)


def test_an_output_a_value_learns_what_the_shapes_are(factored: Path) -> None:
    train(factored, ["loss=factors", "epochs=8"], name="a")
    about = Predictions.read(factored / "runs" / "a" / "predictions" / "plain" / "oof.parquet").provenance
    assert about.require_scores()["accuracy"] > 0.6  # guessing gives a third


def test_other_factors_make_other_data(factored: Path) -> None:
    train(factored, ["loss=factors"], name="a", folds=[0])
    (factored / "data" / "classes.csv").write_text(
        "label,shape,edge\nring,o,thin\nblob,o,full\ncross,x,full\n"
    )
    with pytest.raises(
        DataError,
        match=r"D60[\s\S]*rows: ids, labels and groups are the same, and classes or sources changed",
    ):
        train(factored, ["loss=factors"], name="a")
