"""Calibration: the expected calibration error of Guo et al. 2017, by numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kit.stages.reporting.calibration import measure_calibration
from kit.stages.reporting.row_facts import Bin
from tests.approximate import approx


def test_the_error_weighs_each_bins_gap_by_its_answers() -> None:
    """Bins (0, .5] and (.5, 1]: .3, .5 with one of two right; .6, .8, 1 with two of three right."""
    confidence = np.array([0.3, 0.6, 0.5, 0.8, 1.0])
    right = np.array([True, True, False, False, True])
    calibration = measure_calibration(confidence, right, bins=2)
    assert calibration.bins == (
        Bin(0.0, 0.5, 2, approx(0.4), 0.5),
        Bin(0.5, 1.0, 3, approx(0.8), approx(2 / 3)),
    )
    assert calibration.error == pytest.approx(2 / 5 * 0.1 + 3 / 5 * (0.8 - 2 / 3))


def test_a_bin_holds_its_upper_edge_and_not_its_lower_one() -> None:
    calibration = measure_calibration(np.array([0.2, 0.4, 0.400001]), np.array([True, True, True]), bins=5)
    assert [(one.low, one.rows) for one in calibration.bins] == [(0.0, 1), (0.2, 1), (0.4, 1)]


def test_nothing_and_everything_are_in_some_bin() -> None:
    assert measure_calibration(np.array([0.0, 1.0]), np.array([False, True])).error == 0
    assert measure_calibration(np.array([]), np.array([], dtype=bool)).error == 0


def test_what_is_sure_and_wrong_is_off_by_all_of_it() -> None:
    assert measure_calibration(np.ones(7, np.float32), np.zeros(7, dtype=bool)).error == 1


def test_what_is_right_as_often_as_it_says_is_hardly_off() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(100_000)
    assert measure_calibration(confidence, rng.random(100_000) < confidence).error < 0.01
