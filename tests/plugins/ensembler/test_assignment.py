"""Each class at most once in a group of rows: brute force on tiny groups, scipy on a plate, numbers by hand."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from kit.errors import ConfigError
from kit.evaluation.crossfit import cross_fit
from kit.kinds import Ensembler, ScoreContext

RNG = np.random.default_rng(0)


def opened(**options: object) -> Ensembler:
    return Ensembler.open({"name": "assignment", "group": ["plate"], **options})


def of_plates(plates: list[str]) -> ScoreContext:
    return ScoreContext(columns={"plate": np.array(plates)})


def test_a_small_group_has_the_likeliest_of_all_assignments() -> None:
    for rows, classes in ((3, 3), (4, 5), (2, 6), (1, 3)):
        shares = RNG.dirichlet(np.ones(classes) * 0.3, rows)
        chosen_classes = opened().finish(shares, of_plates(["p"] * rows)).argmax(axis=1)
        best = max(
            permutations(range(classes), rows),
            key=lambda chosen: np.log(np.maximum(shares[np.arange(rows), chosen], 1e-12)).sum(),
        )
        assert chosen_classes.tolist() == list(best)


def test_a_class_may_be_in_a_group_as_often_as_its_capacity() -> None:
    shares = RNG.dirichlet(np.ones(2), 4)
    classes = opened(capacity=2).finish(shares, of_plates(["p"] * 4)).argmax(axis=1)
    ways = [way for way in np.ndindex(2, 2, 2, 2) if sum(way) == 2]
    best = max(ways, key=lambda way: np.log(shares[np.arange(4), way]).sum())
    assert classes.tolist() == list(best)


def test_drawn_plates_are_assigned_one_by_one_as_scipy_assigns_them() -> None:
    plates = RNG.permutation(np.repeat(["a", "b", "c"], 40))
    shares = RNG.dirichlet(np.ones(50) * 0.2, 120)
    classes = opened().finish(shares, of_plates(plates.tolist())).argmax(axis=1)
    for plate in "abc":
        rows = np.flatnonzero(plates == plate)
        chosen = linear_sum_assignment(np.log(np.maximum(shares[rows], 1e-12)), maximize=True)[1]
        assert classes[rows].tolist() == chosen.tolist()
        assert len(set(chosen)) == 40


def test_the_assigned_class_swaps_its_probability_with_the_most_probable_one() -> None:
    shares = np.array([[0.6, 0.3, 0.1], [0.5, 0.2, 0.3]])
    probabilities = opened().finish(shares, of_plates(["p", "p"]))
    np.testing.assert_allclose(probabilities, [[0.6, 0.3, 0.1], [0.3, 0.2, 0.5]])  # .6 * .3 is above .5 * .3
    level = opened().finish(np.array([[0.5, 0.5], [0.5, 0.5]]), of_plates(["p", "p"])).astype(np.float32)
    assert sorted(level.argmax(axis=1).tolist()) == [0, 1]
    np.testing.assert_allclose(level.sum(axis=1), 1, rtol=1e-6)


def test_rows_without_a_group_are_left_as_they_are() -> None:
    shares = np.array([[0.6, 0.4], [0.9, 0.1]])
    np.testing.assert_array_equal(opened().finish(shares, of_plates(["", ""])), shares)


def test_a_group_has_the_classes_of_the_set_that_its_rows_predict() -> None:
    truth = np.array([0, 1, 2, 3])  # plates a and b: the sets {0, 1} and {2, 3}; class 4 has no row
    members = np.eye(5)[truth][None]
    recipe = opened(class_sets=True).with_known(context=of_plates(["a", "a", "b", "b"]))
    fitted = recipe.fit(members, truth)
    assert fitted.spec()["sets"] == [0, 0, 1, 1, -1]
    shares = np.array([[0.1, 0.05, 0.6, 0.2, 0.05], [0.45, 0.05, 0.3, 0.1, 0.1], [0.1, 0.1, 0.3, 0.4, 0.1]])
    classes = fitted.finish(shares, of_plates(["p"] * 3)).argmax(axis=1)
    assert classes.tolist() == [2, 4, 3]  # class 0 is not of the set, and class 4 may be of any
    again = Ensembler.open(fitted.spec())
    np.testing.assert_array_equal(again.finish(shares, of_plates(["p"] * 3)).argmax(axis=1), classes)


def test_class_sets_of_a_fold_come_from_other_folds() -> None:
    truth = np.array([0, 1, 0, 1, 0, 2])  # only the plate of the last fold has class 2 beside class 0
    plates, folds = ["a", "a", "b", "b", "c", "c"], np.array([0, 0, 1, 1, 2, 2])
    members = np.full((1, 6, 3), 0.1)
    members[0, np.arange(6), [0, 1, 0, 1, 0, 1]] = 0.8
    recipe = opened(class_sets=True).with_known(context=of_plates(plates))
    probabilities, fitted = cross_fit(recipe, members, truth, folds)
    assert probabilities.argmax(axis=1).tolist() == [0, 1, 0, 1, 0, 1]
    assert fitted.spec()["sets"] == [0, 0, 0]


def test_a_group_that_is_too_large_and_no_group_are_errors() -> None:
    with pytest.raises(ConfigError, match=r"C81 the group plate=p has 3 rows, and 2 classes") as caught:
        opened().finish(np.full((3, 2), 0.5), of_plates(["p"] * 3))
    assert "ensembler.capacity=2" in caught.value.hint
    with pytest.raises(ConfigError, match="C81"):
        opened(group=[]).row_columns()
