"""Targets: what rows of each kind of labels must be, and how they are stratified."""

from __future__ import annotations

import numpy as np
import pytest

from kit.kinds.target_json import read_target, target_of
from kit.kinds.targets import MULTI_HOT, NUMBERS, ONE_CLASS, PLAIN_TARGETS, SOFT, Target


def faults(target: Target, *row: float) -> list[str]:
    checks = target.find_faults(np.array([row], np.float32))
    return [text for text, wrong in checks if wrong[0]]


def test_each_kind_refuses_the_rows_that_it_cannot_have() -> None:
    for shared in (ONE_CLASS, SOFT):
        assert faults(shared, 0.3, 0.7) == []
        assert faults(shared, 0.9, 0.7) == ["its sum is not 1"]
        assert faults(shared, 1.5, -0.5) == ["a negative value"]
    assert faults(MULTI_HOT, 0.9, 0.7) == []
    assert faults(MULTI_HOT, 1.1, 0.7) == ["a value above 1"]
    assert faults(NUMBERS, -300, 1e6) == []
    assert faults(NUMBERS, 0, np.inf) == ["an infinite value"]
    for target in PLAIN_TARGETS.values():
        assert faults(target, np.nan, 0)[-1] == "NaN"


def test_a_target_survives_its_json_and_older_files_name_two_of_them() -> None:
    assert all(target_of(target.to_json()) == target for target in PLAIN_TARGETS.values())
    assert read_target({"multi_label": True}) == MULTI_HOT
    assert read_target({"multi_label": False}) == read_target({}) == ONE_CLASS
    with pytest.raises(ValueError, match="no target"):
        target_of("words")


def test_numbers_are_stratified_by_ranges_with_equally_many_rows() -> None:
    values = np.random.default_rng(0).exponential(size=(160, 1))
    strata = NUMBERS.strata(values, 5)
    # Sturges' rule for 160 rows: 1 + floor(log2 160) = 8 ranges of 20 rows
    assert np.bincount(strata).tolist() == [20] * 8
    assert values[strata == 0].max() <= values[strata == 1].min()
    assert NUMBERS.strata(values[:12], 5).max() == 1  # each range has a row for each of 5 folds
    marks = NUMBERS.marks(np.concatenate([values, -values], axis=1), 2, 5)
    assert marks.shape == (160, 16)
    assert marks.sum(axis=1).tolist() == [2] * 160


def test_several_columns_are_stratified_by_their_first_principal_component() -> None:
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(1)
    values = np.cumsum(rng.normal(size=(64, 3)), axis=1)
    ranks = values.argsort(axis=0).argsort(axis=0).astype(float)
    first = PCA(1).fit_transform(ranks)[:, 0]
    strata = NUMBERS.strata(values, 2)
    means = [first[strata == stratum].mean() for stratum in range(strata.max() + 1)]
    assert means in (sorted(means), sorted(means, reverse=True))


def test_the_prior_of_numbers_is_their_mean_and_that_of_shares_too() -> None:
    values = np.array([[1.0, 4.0], [3.0, 0.0]])
    assert NUMBERS.prior(values, 2).tolist() == [2.0, 2.0]
    assert SOFT.prior(np.array([[0.5, 0.5], [1.0, 0.0]]), 2).tolist() == [0.75, 0.25]
    assert NUMBERS.names_of(values[0], ("a", "b")) == ("a 1", "b 4")
    assert NUMBERS.find_lack(np.array([[1.0, 2], [1, 3]]), ("a", "b")) == (
        "all rows have the same number in column a"
    )
