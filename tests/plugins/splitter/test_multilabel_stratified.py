"""Iterative stratification: by hand, and as even as the package of that name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

from kit.core.randomness import generator
from kit.data.folds import make_folds
from kit.data.table import Table
from kit.errors import DataError
from kit.kinds import Splitter
from kit.kinds.targets import MULTI_HOT
from kit.plugins.splitter._iterative import assign_iteratively

SHARES = (0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01)


def drawn(rows: int = 500, seed: int = 0, shares: tuple[float, ...] = SHARES) -> np.ndarray:
    """Multi-hot rows in which some labels are rare and some rows have none."""
    return (np.random.default_rng(seed).random((rows, len(shares))) < np.array(shares)).astype(np.int8)


def table(hot: np.ndarray, groups: np.ndarray | None = None) -> Table:
    names = tuple(f"c{number}" for number in range(hot.shape[1]))
    ids = np.array([f"r{row:05d}" for row in range(len(hot))])
    return Table(ids, tuple(Path(f"none/{name}") for name in ids), names, hot, groups, target=MULTI_HOT)


def folds_of(rows: Table, folds: int = 5, seed: int = 0) -> np.ndarray:
    spec = {"name": "multilabel_stratified_kfold", "folds": folds}
    return Splitter.open(spec).split(rows, generator(seed, "folds"))[:, 0]


def unevenness(hot: np.ndarray, place: np.ndarray, folds: int = 5) -> float:
    """Mean over labels and folds of (rows of the label in the fold / an equal share - 1)^2."""
    counts = np.stack([hot[place == fold].sum(axis=0) for fold in range(folds)])
    return float(((counts / (hot.sum(axis=0) / folds) - 1) ** 2).mean())


def test_the_rarest_label_is_dealt_first_and_goes_where_it_is_wanted() -> None:
    # label 1 has two rows, one for each part; label 0 has four in all, two of them gone with label 1's rows
    hot = np.array([[1, 1], [1, 1], [1, 0], [1, 0], [0, 0], [0, 0]])
    for seed in range(10):
        place = assign_iteratively(hot, np.ones(6, int), np.array([0.5, 0.5]), generator(seed, "deal"))
        for rows in ([0, 1], [2, 3], [4, 5]):
            assert sorted(place[rows]) == [0, 1], place


def test_parts_of_other_sizes_have_their_shares_of_each_label() -> None:
    hot = np.array([[1, 0]] * 8 + [[0, 1]] * 4)
    place = assign_iteratively(hot, np.ones(12, int), np.array([0.75, 0.25]), generator(0, "deal"))
    assert np.bincount(place[:8]).tolist() == [6, 2]
    assert np.bincount(place[8:]).tolist() == [3, 1]


def test_a_unit_of_several_rows_counts_as_often_and_large_ones_come_first() -> None:
    # 3 rows against 2 + 1: the large unit alone, whatever is drawn
    for seed in range(10):
        place = assign_iteratively(
            np.array([[1], [3], [2]]), np.array([1, 3, 2]), np.array([0.5, 0.5]), generator(seed, "deal")
        )
        assert place[0] == place[2] != place[1]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("folds", [3, 5])
def test_labels_are_as_even_as_those_of_the_package(seed: int, folds: int) -> None:
    hot = drawn(seed=seed)
    theirs = np.empty(len(hot), int)
    package = MultilabelStratifiedKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, held) in enumerate(package.split(np.zeros(len(hot)), hot)):
        theirs[held] = fold
    ours = folds_of(table(hot), folds, seed)
    assert unevenness(hot, ours, folds) <= unevenness(hot, theirs, folds) + 1e-9
    counts = np.stack([hot[ours == fold].sum(axis=0) for fold in range(folds)])
    assert (np.ptp(counts, axis=0) <= 2).all(), counts
    assert np.ptp(np.bincount(ours)) <= 2


def test_it_is_far_more_even_than_chance() -> None:
    hot = drawn()
    chance = np.random.default_rng(0).permutation(np.arange(500) % 5)
    assert unevenness(hot, folds_of(table(hot))) < unevenness(hot, chance) / 4


def test_groups_stay_whole_and_their_labels_are_even() -> None:
    hot = drawn(600)
    groups = np.array([f"g{number}" for number in np.random.default_rng(1).integers(120, size=600)])
    rows = table(hot, groups)
    folds = make_folds(rows, Splitter.open("multilabel_stratified_kfold"), 0).numbers[:, 0]
    for group in set(groups):
        assert len(set(folds[groups == group])) == 1
    chance = np.random.default_rng(0).permutation(np.arange(120) % 5)[
        np.unique(groups, return_inverse=True)[1]
    ]
    assert unevenness(hot, folds) < unevenness(hot, chance) / 3


def test_class_numbers_are_stratified_too() -> None:
    rows = table(np.zeros((40, 2), np.int8))
    numbers = Table(rows.ids, rows.paths, ("a", "b"), np.repeat([0, 1], [30, 10]))
    folds = folds_of(numbers)
    assert np.bincount(folds[:30]).tolist() == [6] * 5
    assert np.bincount(folds[30:]).tolist() == [2] * 5


def test_fewer_rows_of_every_label_than_folds_are_refused() -> None:
    hot = np.zeros((20, 2), np.int8)
    hot[:3] = 1
    with pytest.raises(DataError, match="D35 the largest class has 3 rows, fewer than the 5 folds"):
        folds_of(table(hot))


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_holdout_has_its_share_of_each_label(share: float) -> None:
    hot = drawn()
    held = (
        Splitter.open({"name": "holdout", "holdout_fraction": share}).split(
            table(hot), generator(0, "folds")
        )[:, 0]
        == 0
    )
    assert abs(held.sum() - share * 500) <= 2
    assert (np.abs(hot[held].sum(axis=0) - share * hot.sum(axis=0)) <= 1).all()


def test_a_holdout_keeps_groups_of_several_labels_whole() -> None:
    hot, groups = drawn(600), np.array([f"g{number}" for number in np.arange(600) // 5])
    folds = make_folds(table(hot, groups), Splitter.open("holdout"), 0).numbers[:, 0]
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
    assert np.abs(hot[folds == 0].sum(axis=0) / hot.sum(axis=0) - 0.2).max() < 0.1
