"""What is fitted is scored on rows it was not fitted on."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import pytest

from kit.contracts import check
from kit.errors import InvalidError
from kit.evaluation.crossfit import cross_fit, fit_without
from kit.kinds import Ensembler

FITTED: list[list[int]] = []  # the rows of each fit, by the marks in the first member


class Marked(Ensembler):
    """Adds the class shares of the truth it was fitted on, and keeps a list of the rows it saw.

    Source: this test.
    """

    fitted: ClassVar[bool] = True
    prior: tuple[float, ...] = ()

    def fit(self, members: np.ndarray, truth: np.ndarray) -> Self:
        FITTED.append(members[0, :, 0].astype(int).tolist())
        counts = np.bincount(truth, minlength=members.shape[2])
        return self.model_copy(update={"prior": tuple((counts / counts.sum()).tolist())})

    def blend(self, members: np.ndarray) -> np.ndarray:
        return np.tile(self.prior, (members.shape[1], 1))


@pytest.fixture(autouse=True)
def _forget() -> None:
    FITTED.clear()


def marked(rows: int) -> np.ndarray:
    members = np.zeros((2, rows, 2))
    members[0, :, 0] = np.arange(rows)
    return members


def test_each_fold_is_predicted_by_a_fit_on_the_other_folds() -> None:
    truth, folds = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    probabilities, fitted = cross_fit(Marked(prior=()), marked(4), truth, folds)
    assert FITTED == [[1, 3], [0, 2], [0, 1, 2, 3]]
    assert probabilities.tolist() == [[0.5, 0.5]] * 4
    assert fitted.prior == (0.5, 0.5)


def test_a_row_has_no_part_in_its_own_prediction() -> None:
    truth, folds = np.array([0, 0, 0, 1]), np.array([0, 1, 2, 3])
    probabilities, fitted = cross_fit(Marked(), marked(4), truth, folds)
    assert probabilities[3].tolist() == [1, 0]
    assert probabilities[0].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert fitted.prior == (0.75, 0.25)


def test_rows_of_one_fold_are_cut_into_five_parts() -> None:
    cross_fit(Marked(), marked(20), np.arange(20) % 2, np.zeros(20, dtype=int))
    *parts, all_rows = FITTED
    assert all_rows == list(range(20))
    assert [len(part) for part in parts] == [16] * 5
    held = [set(range(20)) - set(part) for part in parts]
    assert set.union(*held) == set(range(20))


def test_the_parts_keep_groups_whole() -> None:
    groups = np.arange(30) // 3
    cross_fit(Marked(), marked(30), np.arange(30) % 2, np.zeros(30, dtype=int), groups)
    for part in FITTED[:-1]:
        held = set(range(30)) - set(part)
        assert {groups[row] for row in held}.isdisjoint({groups[row] for row in part})


def test_the_parts_are_always_the_same() -> None:
    for _ in range(2):
        cross_fit(Marked(), marked(12), np.arange(12) % 2, np.zeros(12, dtype=int))
    assert FITTED[:6] == FITTED[6:]


def test_a_recipe_is_fitted_without_the_rows_that_are_held() -> None:
    truth, held = np.array([0, 1, 1, 0, 1]), np.array([True, False, False, True, False])
    fitted = fit_without(Marked(), marked(5), truth, np.arange(5), None, held)
    assert FITTED == [[1, 2, 4]]
    assert fitted.prior == (0, 1)


def test_a_recipe_cannot_be_fitted_if_all_rows_are_held() -> None:
    with pytest.raises(InvalidError, match="D46 no out-of-fold rows of other folds") as caught:
        fit_without(
            Marked(), marked(2), np.array([0, 1]), np.zeros(2, dtype=int), None, np.ones(2, dtype=bool)
        )
    assert caught.value.hint == "use an ensembler that is not fitted, such as mean"


def test_no_rows_ask_for_a_run_that_holds_rows_out() -> None:
    with pytest.raises(InvalidError, match="D46 no out-of-fold rows to fit on") as caught:
        cross_fit(Marked(), marked(0), np.zeros(0, dtype=int), np.zeros(0, dtype=int))
    assert caught.value.hint == "use a run whose folds hold out rows"


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows_are_an_error(rows: int) -> None:
    with pytest.raises(InvalidError, match="D46"):
        cross_fit(Marked(), marked(rows), np.zeros(rows, dtype=int), np.zeros(rows, dtype=int))


def test_one_group_cannot_be_cut() -> None:
    with pytest.raises(InvalidError, match="3 out-of-fold rows of 1 groups are too few to split"):
        cross_fit(Marked(), marked(3), np.zeros(3, dtype=int), np.zeros(3, dtype=int), np.array(["p"] * 3))


def test_two_groups_are_cut_into_two_parts() -> None:
    groups = np.array(["p", "q", "p", "q"])
    cross_fit(Marked(), marked(4), np.array([0, 1, 0, 1]), np.zeros(4, dtype=int), groups)
    assert sorted(FITTED[:-1]) == [[0, 2], [1, 3]]


def test_laws_fit_a_fitted_ensembler_first() -> None:
    broken = {finding.law for finding in check(Marked()) if not finding.holds}
    assert "Rows with equal predictions by every member have equal blends." not in broken
