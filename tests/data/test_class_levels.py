"""Parents of the classes: where they come from, and faults of a tree that are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kit.config.models import Data
from kit.data.table import train_table
from kit.errors import ConfigError, DataError
from kit.kinds.levels import Level, above
from tests.drawn_tables import csv, make

ROWS: tuple[str, ...] = (
    "id,species,genus,family,label",
    "a,oak,Quercus,Fagaceae,oak",
    "b,elm,Ulmus,Ulmaceae,elm",
)
ROWS = (*ROWS, "c,beech,Fagus,Fagaceae,beech", "d,oak,Quercus,Fagaceae,oak")
LISTED = ("label,family,genus", "oak,Fagaceae,Quercus", "beech,Fagaceae,Fagus", "elm,Ulmaceae,Ulmus")
PAIRS: tuple[str, ...] = (
    "child,parent",
    "oak,Quercus",
    "beech,Fagus",
    "elm,Ulmaceae",
    "Quercus,Fagaceae",
    "Fagus,Fagaceae",
)
PAIRS = (*PAIRS, "Fagaceae,plants", "Ulmaceae,plants", "plants,")
IMAGES = [f"images/{name}.png" for name in "abcd"]
DATA = Data(train="train.csv", sample=None, images="images/{id}")


def levels_of(root: Path, *rows: str, **keys: object) -> dict[str, dict[str, str]]:
    """The parent of each class by level."""
    data = Data.model_validate({**DATA.model_dump(), **keys})
    table = train_table(make(root, {"train.csv": csv(*rows)}, IMAGES), data)
    return {level.name: dict(zip(table.classes, level.parents, strict=True)) for level in table.class_levels}


GENERA = {"oak": "Quercus", "beech": "Fagus", "elm": "Ulmus"}
FAMILIES = {"oak": "Fagaceae", "beech": "Fagaceae", "elm": "Ulmaceae"}


def test_parents_are_columns_of_the_list_of_classes_or_of_the_training_table(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text(csv(*LISTED))
    for keys in ({"class_list": "classes.csv"}, {}):
        levels = levels_of(tmp_path, *ROWS, parents=["genus", "family"], **keys)
        assert levels == {"genus": GENERA, "family": FAMILIES}
        assert list(levels) == ["genus", "family"]
    assert levels_of(tmp_path, *ROWS, parents="family") == {"family": FAMILIES}
    assert levels_of(tmp_path, *ROWS) == {}


def test_parents_of_a_list_have_a_level_each_without_the_root_of_all(tmp_path: Path) -> None:
    (tmp_path / "tree.csv").write_text(csv(*PAIRS))
    levels = levels_of(tmp_path, *ROWS, parent_list="tree.csv")
    assert levels == {"level_1": {**GENERA, "elm": "Ulmaceae"}, "level_2": {**FAMILIES, "elm": "plants"}}


def test_the_class_without_training_rows_is_its_own_parent(tmp_path: Path) -> None:
    (tmp_path / "tree.csv").write_text(csv(*PAIRS))
    levels = levels_of(tmp_path, *ROWS, parents=["genus"], unknown_class="other")
    assert levels == {"genus": {**GENERA, "other": "other"}}
    levels = levels_of(tmp_path, *ROWS, parent_list="tree.csv", unknown_class="other")
    assert levels["level_2"]["other"] == "other"


@pytest.mark.parametrize(
    ("rows", "code", "said"),
    [
        ((*ROWS, "e,oak,,Fagaceae,oak"), "D22", "oak: its rows have /Fagaceae and Quercus/Fagaceae"),
        ((*ROWS[:2], "c,beech,,Fagaceae,beech", ROWS[4]), "D22", "beech: genus is blank"),
        ((*ROWS, "e,oak,Fagus,Fagaceae,oak"), "D22", "its rows have Fagus/Fagaceae and Quercus/Fagaceae"),
        (
            (*ROWS[:3], "c,beech,Quercus,Ulmaceae,beech", ROWS[4]),
            "D92",
            "genus Quercus: has the parents Fagaceae and Ulmaceae",
        ),
    ],
)
def test_classes_of_columns_have_one_parent_each(
    tmp_path: Path, rows: tuple[str, ...], code: str, said: str
) -> None:
    make(tmp_path, {}, ["images/e.png"])
    with pytest.raises(DataError) as caught:
        levels_of(tmp_path, *rows, parents=["genus", "family"])
    assert caught.value.code == code
    assert said in str(caught.value.cases[0])


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (PAIRS[:3], "1 of 3 classes have no parent in tree.csv"),
        ((*PAIRS, "oak,Fagus"), "1 parents or classes have several parents in tree.csv"),
        ((*PAIRS[:-1], "plants,Fagaceae"), "cycle: Fagus > Fagaceae > plants > Fagaceae"),
        ((*PAIRS[:3], "elm,elm"), "the parents of 'elm' form a cycle: elm"),
        (("child,parent", "oak,plants", "beech,plants", "elm,plants"), "the same parent for all classes"),
    ],
)
def test_a_list_that_is_no_tree_is_refused(tmp_path: Path, pairs: tuple[str, ...], said: str) -> None:
    (tmp_path / "tree.csv").write_text(csv(*pairs))
    with pytest.raises(DataError, match="D92") as caught:
        levels_of(tmp_path, *ROWS, parent_list="tree.csv")
    assert said in caught.value.summary


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"parents": ["genera"]}, "data.parents names 1 columns that are not in the training table"),
        ({"parents": ["genus"], "parent_list": "tree.csv"}, "only one can have the parents"),
        ({"parents": ["genus"], "label_separator": " "}, "need one class per row"),
        ({"parent_list": "one.csv"}, "has one column"),
        ({"parent_list": "none.csv"}, "none.csv"),
    ],
)
def test_keys_that_do_not_fit_are_refused(tmp_path: Path, keys: dict[str, object], said: str) -> None:
    (tmp_path / "tree.csv").write_text(csv(*PAIRS))
    (tmp_path / "one.csv").write_text(csv("child", "oak"))
    with pytest.raises((ConfigError, DataError)) as caught:
        levels_of(tmp_path, *ROWS, **keys)
    assert said in caught.value.summary


def test_levels_add_up_their_classes() -> None:
    level = Level("genus", ("x", "y", "x", "z"))
    assert level.nodes == ("x", "y", "z")
    rows = np.array([[0.1, 0.2, 0.3, 0.4], [0, 0, 0, 1]], np.float32)
    assert level.sum_children(rows) == pytest.approx(np.array([[0.4, 0.2, 0.4], [0, 0, 1]]))
    family = Level("family", ("p", "p", "p", "q"))
    assert above((level, family), level) == (Level("family", ("p", "p", "q")),)
    assert above((level, family), family) == ()
    assert level.of_classes([3, 0]) == Level("genus", ("z", "x"))
