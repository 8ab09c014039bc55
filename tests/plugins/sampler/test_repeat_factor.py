"""Repeat factor sampling: the factors by hand, and how often rows come."""

from __future__ import annotations

import numpy as np
import pytest

from kit.core.randomness import generator
from kit.kinds import Sampler
from kit.plugins.sampler.repeat_factor import RepeatFactor

HOT = np.zeros((100, 3), dtype=np.int8)
HOT[:80, 0] = 1  # in .8 of the rows
HOT[75:85, 1] = 1  # in .1, five of them with the first class too
HOT[84:86, 2] = 1  # in .02, one of them with the second class too


def counts(spec: object, labels: np.ndarray, seed: int = 0) -> np.ndarray:
    return np.bincount(Sampler.open(spec).order(labels, generator(seed, "order")), minlength=len(labels))


def test_the_rarest_class_of_a_row_decides_how_often_it_comes() -> None:
    factors = RepeatFactor.open({"name": "repeat_factor", "frequency_threshold": 0.4}).factors(HOT)
    assert factors[:75].tolist() == [1] * 75
    assert factors[75:84] == pytest.approx(np.full(9, 2.0))  # sqrt(.4 / .1)
    assert factors[84:86] == pytest.approx(np.full(2, np.sqrt(20)))
    assert factors[86:].tolist() == [1] * 14  # no label


def test_rows_come_as_often_as_their_factor_says() -> None:
    row_counts = np.array(
        [counts({"name": "repeat_factor", "frequency_threshold": 0.4}, HOT, seed) for seed in range(40)]
    )
    assert (row_counts[:, :75] == 1).all()
    assert (row_counts[:, 75:84] == 2).all()
    assert row_counts.mean(axis=0)[84:86] == pytest.approx(np.full(2, np.sqrt(20)), abs=0.2)
    assert set(row_counts[:, 84:86].ravel()) == {4, 5}
    assert (row_counts[:, 86:] == 1).all()
    assert len(set(row_counts.sum(axis=1))) == 1


def test_the_mean_share_of_the_classes_is_the_default() -> None:
    by_default = RepeatFactor.open("repeat_factor")
    named = RepeatFactor.open({"name": "repeat_factor", "frequency_threshold": (0.8 + 0.1 + 0.02) / 3})
    np.testing.assert_allclose(by_default.factors(HOT), named.factors(HOT))


def test_class_numbers_repeat_by_the_same_rule() -> None:
    labels = np.repeat([0, 1], [90, 10])
    factors = RepeatFactor.open({"name": "repeat_factor", "frequency_threshold": 0.9}).factors(labels)
    np.testing.assert_allclose(factors, np.repeat([1.0, 3.0], [90, 10]))
    assert counts({"name": "repeat_factor", "frequency_threshold": 0.9}, labels).sum() == 120
