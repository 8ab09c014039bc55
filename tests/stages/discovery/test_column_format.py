"""Cells that hold several labels are distinguished from names of several words; if it is unclear, the user is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from kit.stages.discovery.column_format import separator_of
from kit.stages.discovery.discover import discover
from tests.drawn_tables import csv, ids, make

PLANT_PATHOLOGY = (
    "healthy", "scab", "frog_eye_leaf_spot", "rust", "complex", "powdery_mildew", "scab frog_eye_leaf_spot",
    "scab frog_eye_leaf_spot complex", "frog_eye_leaf_spot complex", "rust frog_eye_leaf_spot", "rust complex",
    "powdery_mildew complex",
)  # fmt: skip
PLANET = (
    "haze primary", "agriculture clear primary water", "clear primary", "cloudy", "clear habitation primary road",
    "agriculture clear habitation primary road", "clear cultivation primary", "haze primary water",
    "agriculture partly_cloudy primary", "partly_cloudy primary", "agriculture clear cultivation primary road",
    "partly_cloudy primary water", "clear primary water", "agriculture cultivation haze primary",
    "habitation partly_cloudy primary road",
)  # fmt: skip
YELP = (
    "1 2 4 5 6 7",
    "0 1 6 8",
    "1 2 4 5 6 7 8",
    "0 8",
    "3",
    "1 2 5 6",
    "0 3 6 8",
    "2 4 7",
    "0 3 8",
    "4 5 6",
)


@pytest.mark.parametrize(
    ("cells", "separator", "labels"),
    [
        (PLANT_PATHOLOGY, " ", 6),
        (PLANET, " ", 10),
        (YELP, " ", 9),
        ([cell.replace(" ", "|") for cell in PLANT_PATHOLOGY], "|", 6),
        ([cell.replace(" ", ";") for cell in PLANET], ";", 10),
        ([cell.replace(" ", ", ") for cell in PLANET], ",", 10),
        (["red apple", "ripe pear", "red apple,ripe pear", "plum", "plum,red apple"], ",", 3),
        (["a", "b", "a b"], " ", 2),
    ],
    ids=[
        "Plant Pathology 2021",
        "Planet",
        "Yelp",
        "bars",
        "semicolons",
        "commas",
        "names with blanks",
        "two labels",
    ],
)
def test_cells_that_contain_other_labels_hold_several(
    cells: Sequence[str], separator: str, labels: int
) -> None:
    guess = separator_of(cells)
    assert guess is not None
    assert (guess.separator, guess.is_clear) == (separator, True)
    assert guess.why.startswith(f"{labels} labels in {len(cells)} different cells")


@pytest.mark.parametrize(
    "cells",
    [
        ["Golden Retriever", "Labrador Retriever", "Irish Setter", "English Setter"],
        ["Black-grass", "Charlock", "Cleavers", "Common Chickweed", "Fat Hen", "Sugar beet", "Maize"],
        ["Acer rubrum", "Acer saccharum", "Quercus alba", "Quercus rubra", "Ginkgo biloba"],
        ["cat", "dog", "eel"],
        ["0", "1", "2"],
    ],
    ids=["breeds", "Plant Seedlings", "species", "words", "numbers"],
)
def test_names_are_not_taken_apart(cells: Sequence[str]) -> None:
    assert separator_of(cells) is None


@pytest.mark.parametrize(
    "cells",
    [
        ["apple", "red apple", "pear", "red pear", "plum", "red plum"],
        ["hot", "dog", "soup", "hot dog"],
        ["1 2", "2 3", "1 3 4", "4"],
    ],
    ids=["words that come again", "one combination", "as many labels as cells"],
)
def test_unclear_cells_stay_whole_and_the_option_is_named(cells: Sequence[str], tmp_path: Path) -> None:
    guess = separator_of(cells)
    assert guess is not None
    assert not guess.is_clear
    discovery = discover(several(tmp_path, cells))
    assert "label_separator" not in discovery.data
    line = next(line for line in discovery.findings if line.startswith("unclear"))
    assert line.endswith("else kit init --label-separator ' '")
    with_option = discover(tmp_path, {"label_separator": " "})
    assert with_option.data["label_separator"] == " "
    assert not any(line.startswith("unclear") for line in with_option.findings)


def test_the_sample_can_make_unclear_cells_clear() -> None:
    cells = ["clear water", "haze road", "clear road", "cloudy"]
    before = separator_of(cells)
    assert before is None or not before.is_clear
    guess = separator_of(cells, sample=["road clear water"])
    assert guess is not None
    assert guess.is_clear
    assert separator_of(["Golden Retriever", "Labrador", "Irish Setter"], sample=["Golden Retriever"]) is None


def several(root: Path, cells: Sequence[str]) -> Path:
    rows = [f'{name},"{cells[n % len(cells)]}"' for n, name in enumerate(ids("a", 30))]
    return make(
        root, {"train.csv": csv("image,labels", *rows)}, [f"images/{name}.jpg" for name in ids("a", 30)]
    )
