"""kit init: columns of taxonomic ranks are the parents of the classes, if they are a tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.stages.discovery.discover import discover
from tests.drawn_competitions import below, names
from tests.drawn_tables import csv, make

TREE = {
    "oak": "Quercus,Fagaceae",
    "holm": "Quercus,Fagaceae",
    "beech": "Fagus,Fagaceae",
    "elm": "Ulmus,Ulmaceae",
}


def entered(root: Path, tree: dict[str, str], header: str = "genus,Family") -> dict[str, object]:
    ids = names("a", 24)
    rows = [f"{name},{label},{tree[label]}" for name, label in zip(ids, [*tree] * 6, strict=True)]
    make(root, {"train.csv": csv(f"id,species,{header}", *rows)}, below("images", ids, ".png"))
    return discover(root, {"label": "species"}).data


def test_genus_and_family_of_the_training_table_are_found(tmp_path: Path) -> None:
    assert entered(tmp_path, TREE)["parents"] == ["genus", "Family"]


@pytest.mark.parametrize(
    ("change", "header", "parents"),
    [
        ({"holm": "Quercus,Ulmaceae"}, "genus,Family", ["genus"]),  # a genus of two families
        ({"holm": ",Fagaceae"}, "genus,Family", ["Family"]),  # a class without a genus
        ({}, "genus,habitat", ["genus"]),
        ({}, "colour,habitat", None),
    ],
)
def test_columns_that_are_no_tree_are_left_out(
    tmp_path: Path, change: dict[str, str], header: str, parents: list[str] | None
) -> None:
    assert entered(tmp_path, {**TREE, **change}, header).get("parents") == parents
