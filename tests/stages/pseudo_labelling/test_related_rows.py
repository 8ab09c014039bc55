"""Test rows that belong to held-out rows: copies, near-duplicates, groups, and chains of these."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.config.models import Data
from kit.data.folds import Folds
from kit.data.table import Table
from kit.stages.pseudo_labelling.related_rows import is_related_to_held_out, row_clusters

FOLDS = Folds(np.array(["a", "b", "c"]), np.array([[0], [1], [1]]))
APART = tuple(f"hash of {name}" for name in "abcxyz")


def tables(
    people: tuple[str, ...] | None = None, theirs: tuple[str, ...] | None = None
) -> tuple[Table, Table]:
    """Training rows a, b, c, of folds 0, 1, 1, and test rows x, y, z; the people in them, where they are known."""
    paths = [Path(f"/train/{name}.png") for name in "abc"]
    groups = None if people is None else np.array(people)
    train = Table(np.array(["a", "b", "c"]), paths, ("k", "l"), np.zeros(3, np.int64), groups)
    frame = pd.DataFrame() if theirs is None else pd.DataFrame({"person": theirs}, dtype=str)
    test = Table(
        np.array(["x", "y", "z"]), [Path(f"/test/{name}.png") for name in "xyz"], ("k", "l"), frame=frame
    )
    return train, test


def kin(
    *,
    hashes: tuple[str, ...] = APART,
    pairs: tuple[tuple[int, int], ...] = (),
    people: tuple[str, ...] | None = None,
    theirs: tuple[str, ...] | None = None,
    group: str | None = None,
) -> list[list[str]]:
    """The test rows that belong to what folds 0 and 1 hold out."""
    train, test = tables(people, theirs)
    near = np.array(pairs, np.int64).reshape(-1, 2)
    clusters = row_clusters(train, test, hashes, near, Data(group=group))
    return [test.ids[is_related_to_held_out(clusters, FOLDS, fold)].tolist() for fold in (0, 1)]


def test_strangers_belong_to_nobody() -> None:
    assert kin() == [[], []]
    assert kin(hashes=("", "", "", "", "", "")) == [
        [],
        [],
    ]  # files that cannot be read are no copies of each other


def test_a_copy_belongs_to_the_row_that_it_copies() -> None:
    assert kin(hashes=("h", "i", "j", "h", "k", "j")) == [["x"], ["z"]]


def test_a_near_copy_belongs_to_the_row_that_it_looks_like() -> None:
    assert kin(pairs=((1, 4),)) == [[], ["y"]]


def test_a_row_of_a_group_belongs_to_it_where_the_test_table_names_groups() -> None:
    assert kin(people=("p", "q", "q"), theirs=("q", "", "p"), group="person") == [["z"], ["x"]]
    assert kin(people=("p", "q", "q"), group="person") == [[], []]  # no such column there
    assert kin(people=("/", "/", "/"), theirs=("q", "r", "s"), group="{folder}") == [
        [],
        [],
    ]  # train is not test


def test_a_chain_of_any_links_is_followed() -> None:
    related_ids = kin(
        hashes=("h", "i", "j", "h", "k", "l"),
        pairs=((3, 4),),
        people=("p", "q", "r"),
        theirs=("", "s", "s"),
        group="person",
    )
    assert related_ids == [["x", "y", "z"], []]  # a = x, x looks like y, y and z are of one person


@pytest.mark.parametrize("group", ["auto", "scene"])
def test_groups_that_kit_found_are_of_training_rows_alone(group: str) -> None:
    assert kin(people=("p", "q", "q"), group=group) == [[], []]
