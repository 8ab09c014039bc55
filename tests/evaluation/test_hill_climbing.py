"""The quick ways of scoring one more member give what scoring the sum itself gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.evaluation import hill_climbing
from kit.evaluation.hill_climbing import Climb, DecisionClimb, TrueClassClimb, climb, in_threads
from kit.kinds import Metric
from tests.drawn_members import drawn

QUICK = {"macro_f1": DecisionClimb, "accuracy": DecisionClimb, "log_loss": TrueClassClimb, "auc": Climb}


@pytest.mark.parametrize(("name", "way"), QUICK.items())
def test_a_metric_is_climbed_by_the_quickest_way_that_it_has(name: str, way: type[Climb]) -> None:
    assert type(climb(Metric.open(name), *drawn())) is way


def test_a_table_of_several_labels_a_row_goes_the_general_way() -> None:
    members, _ = drawn()
    assert type(climb(Metric.open("macro_f1"), members, np.zeros(members.shape[1:], dtype=int))) is Climb


@given(
    seed=st.integers(0, 999),
    classes=st.integers(1, 6),
    signal=st.floats(0, 6),
    steps=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1.0, 0.5, 0.07])), max_size=6),
    share=st.sampled_from([1.0, 0.2, 0.01, -0.05]),
    name=st.sampled_from(["macro_f1", "accuracy", "log_loss"]),
)
@settings(max_examples=80, deadline=None)
def test_quick_and_general_costs_are_equal(
    seed: int, classes: int, signal: float, steps: list[tuple[int, float]], share: float, name: str
) -> None:
    members, truth = drawn(seed, 4, 60, classes, signal)
    metric = Metric.open(name)
    quick, general = climb(metric, members, truth), Climb(metric, members, truth)
    for member, part in steps:
        quick.add(member, part)
        general.add(member, part)
    if share < 0 and not steps:
        share = 1.0
    if share < 0:  # only what is in the sum can be taken away
        which = sorted({member for member, _ in steps})
        np.testing.assert_allclose(quick.costs(share, which), general.costs(share, which), rtol=0, atol=1e-9)
    else:
        np.testing.assert_allclose(quick.costs(share), general.costs(share), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", QUICK)
def test_a_share_is_one_unless_it_is_given(name: str) -> None:
    members, truth = drawn()
    short, whole = (climb(Metric.open(name), members, truth) for _ in range(2))
    short.add(1)
    short.add(2, 0.5)
    whole.add(1, 1.0)
    whole.add(2, 0.5)
    np.testing.assert_array_equal(short.costs(), whole.costs(1.0))


@pytest.mark.parametrize("name", ["macro_f1", "log_loss"])
def test_blocks_and_threads_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    members, truth = drawn(rows=300)
    costs = []
    for rows in (7, 10_000):
        monkeypatch.setattr(hill_climbing, "BLOCK_ROWS", rows)
        sums = climb(Metric.open(name), members, truth)
        sums.add(1)
        sums.add(3)
        costs.append(sums.costs())
    small, large = costs
    np.testing.assert_allclose(small, large, rtol=0, atol=1e-12)


def test_threads_keep_the_order_of_the_jobs() -> None:
    assert in_threads(lambda job: job * job, range(9), 10**6) == [job * job for job in range(9)]


def test_members_may_be_a_memory_map_and_are_left_alone(tmp_path: object) -> None:
    members, truth = drawn()
    file = f"{tmp_path}/members"
    mapped = np.memmap(file, dtype=np.float32, mode="w+", shape=members.shape)
    mapped[:] = members
    mapped.flush()
    read = np.memmap(file, dtype=np.float32, mode="r", shape=members.shape)
    for name in QUICK:
        one, other = (climb(Metric.open(name), which, truth) for which in (read, members))
        one.add(2)
        other.add(2)
        assert (one.costs() == other.costs()).all(), name
