"""What each sampler promises of the counts, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kit.core.randomness import generator
from kit.errors import ConfigError
from kit.kinds import Sampler
from kit.plugins.sampler.balanced import whole

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [50, 9, 4]))


def order(spec: object, seed: int = 0) -> np.ndarray:
    return Sampler.open(spec).order(LABELS, generator(seed, "order"))


def counts(rows: np.ndarray) -> list[int]:
    class_counts: list[int] = np.bincount(LABELS[rows], minlength=3).tolist()
    return class_counts


def test_shuffled_shows_every_row_once_in_another_order_each_epoch() -> None:
    assert sorted(order("shuffled")) == list(range(63))
    assert order("shuffled", 0).tolist() != order("shuffled", 1).tolist()


def test_undersample_shows_every_class_as_often_as_the_rarest() -> None:
    rows = order("undersample")
    assert counts(rows) == [4, 4, 4]
    assert len(set(rows)) == 12


def test_undersample_draws_other_rows_each_epoch_unless_fixed() -> None:
    assert set(order("undersample", 0)) != set(order("undersample", 1))
    fixed = {"name": "undersample", "fixed": True}
    assert set(order(fixed, 0)) == set(order(fixed, 1))
    assert order(fixed, 0).tolist() != order(fixed, 1).tolist()


def test_oversample_shows_every_class_as_often_as_the_most_frequent() -> None:
    rows = order("oversample")
    assert counts(rows) == [50, 50, 50]
    times = np.bincount(rows, minlength=63)
    assert set(times[LABELS == 0]) == {1}
    assert set(times[LABELS == 1]) == {5, 6}  # 50 = 9 * 5 + 5
    assert sorted(times[LABELS == 2]) == [12, 12, 13, 13]  # 50 = 4 * 12 + 2


@pytest.mark.parametrize(
    ("power", "expected"),
    [
        (0.0, [21, 21, 21]),
        (1.0, [50, 9, 4]),
        (0.5, [37, 16, 10]),
    ],  # 63 * sqrt(50, 9, 4) / 12.07 = 36.9 15.7 10.4
)
def test_balanced_keeps_the_length_and_shares_by_the_power(power: float, expected: list[int]) -> None:
    assert counts(order({"name": "balanced", "power": power})) == expected


def test_balanced_repeats_no_row_before_all_of_its_class_were_shown() -> None:
    times = np.bincount(order("balanced"), minlength=63)
    assert set(times[LABELS == 0]) == {0, 1}
    assert set(times[LABELS == 1]) == {2, 3}
    assert set(times[LABELS == 2]) == {5, 6}


def test_shares_are_rounded_to_the_same_sum() -> None:
    assert whole(np.array([1 / 3, 1 / 3, 1 / 3]) * 10) == [4, 3, 3]
    assert whole(np.array([2.5, 0.4, 0.1])) == [3, 0, 0]


def test_m_per_class_makes_whole_blocks_of_different_classes() -> None:
    rows = order({"name": "m_per_class", "rows_per_class": 5, "classes_per_block": 2})
    assert len(rows) == 60  # 63 rows are 6.3 blocks of 10
    for block in LABELS[rows].reshape(6, 2, 5):
        assert (block == block[:, :1]).all()
        assert block[0, 0] != block[1, 0]
    assert counts(rows) == [20, 20, 20]  # 12 halves of blocks, 4 a class


def test_m_per_class_shows_a_row_twice_in_a_block_only_where_its_class_is_small() -> None:
    rows = order({"name": "m_per_class", "rows_per_class": 6, "classes_per_block": 3})
    assert len(rows) == 72  # 63 / 18 = 3.5 blocks, rounded to the even 4
    for each in rows.reshape(-1, 6):
        assert len(set(each)) == (4 if LABELS[each[0]] == 2 else 6)
    times = np.bincount(rows, minlength=63)
    assert sorted(times[LABELS == 0]) == [0] * 26 + [1] * 24
    assert sorted(times[LABELS == 1]) == [2] * 3 + [3] * 6  # 24 = 9 * 2 + 6
    assert set(times[LABELS == 2]) == {6}  # 24 = 4 * 6


def test_m_per_class_fills_batches_as_the_metric_learning_library_does() -> None:
    from pytorch_metric_learning.samplers import MPerClassSampler

    theirs = np.array(list(MPerClassSampler(LABELS, m=4, batch_size=12, length_before_new_iter=60)))
    mine = order({"name": "m_per_class", "rows_per_class": 4, "classes_per_block": 3})
    assert len(mine) == len(theirs) == 60
    for batch in (*LABELS[mine].reshape(5, 12), *LABELS[theirs].reshape(5, 12)):
        assert np.bincount(batch).tolist() == [4, 4, 4]


def test_m_per_class_takes_all_classes_where_there_are_few() -> None:
    rows = order({"name": "m_per_class", "rows_per_class": 2, "classes_per_block": 50})
    assert len(rows) == 60  # 63 / 6 = 10.5 blocks of all three classes, rounded to the even 10
    assert counts(rows) == [20, 20, 20]


def test_blocks_are_batches() -> None:
    from kit.core.batching import even_batches

    rows = order({"name": "m_per_class", "rows_per_class": 4, "classes_per_block": 3})
    for part in even_batches(len(rows), 12):
        assert np.bincount(LABELS[rows[part]]).tolist() == [4, 4, 4]


def test_a_misspelt_option_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'fixed'"):
        Sampler.open({"name": "undersample", "fixd": True})
