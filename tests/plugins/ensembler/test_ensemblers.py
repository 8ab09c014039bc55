"""Ensemblers give the numbers that a pencil gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from kit.data.folds import Folds
from kit.data.predictions import Predictions
from kit.errors import ConfigError, InvalidError
from kit.kinds import Ensembler, Metric
from kit.kinds.targets import MULTI_HOT
from kit.stages.blending.members import Member, blend_test_rows
from tests.drawn_members import drawn

ONE = [[0.8, 0.2], [0.4, 0.6], [0.1, 0.9]]
TWO = [[0.5, 0.5], [0.2, 0.8], [0.3, 0.7]]
MEMBERS = np.array([ONE, TWO])


def blended(spec: str | dict[str, Any], members: np.ndarray = MEMBERS) -> np.ndarray:
    return Ensembler.open(spec).blend(members)


def test_mean_by_hand() -> None:
    assert np.allclose(blended("mean")[:, 0], [0.65, 0.3, 0.2])


def test_geometric_by_hand() -> None:
    first = np.sqrt(0.8 * 0.5) / (np.sqrt(0.8 * 0.5) + np.sqrt(0.2 * 0.5))
    assert blended("geometric")[0, 0] == pytest.approx(first)


def test_geometric_of_many_members_does_not_vanish() -> None:
    many = np.tile(np.array([[[1e-6, 1 - 1e-6]]]), (200, 1, 1))
    assert blended("geometric", many)[0, 0] == pytest.approx(1e-6, rel=1e-6)


def test_geometric_keeps_away_from_zero_by_its_floor() -> None:
    members = np.array([[[0.0, 1.0]], [[1.0, 0.0]]])
    assert blended("geometric", members).tolist() == [[0.5, 0.5]]
    # sqrt(0.01 * 1) against sqrt(1 * 0.25)
    uneven = blended({"name": "geometric", "floor": 0.01}, np.array([[[0.0, 1.0]], [[1.0, 0.25]]]))
    assert uneven[0, 0] == pytest.approx(0.1 / 0.6)


def test_rank_by_hand() -> None:
    # ranks of class 0: 3 2 1 and 3 1 2; of class 1: 1 2 3 and 1 3 2
    assert np.allclose(blended("rank"), [[3 / 4, 1 / 4], [1.5 / 4, 2.5 / 4], [1.5 / 4, 2.5 / 4]])


def test_tied_rows_share_their_mean_rank() -> None:
    tied = np.array([[[0.5, 0.5], [0.5, 0.5], [0.1, 0.9]]])
    # class 0 ranks 2.5 2.5 1, class 1 ranks 1.5 1.5 3
    assert np.allclose(blended("rank", tied)[:, 0], [2.5 / 4, 2.5 / 4, 1 / 4])


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_rank_keeps_each_class_in_the_order_of_its_mean_ranks_and_so_its_auc(classes: int) -> None:
    members, truth = drawn(1, members=3, rows=150, classes=classes, signal=1.0)
    ranks = np.mean([rankdata(member, axis=0) for member in members], axis=0)
    blend_of_ranks = blended("rank", members)
    np.testing.assert_allclose(blend_of_ranks, ranks / 151)
    for number in range(classes):
        np.testing.assert_array_equal(blend_of_ranks[:, number].argsort(), ranks[:, number].argsort())
    theirs = np.mean([roc_auc_score(truth == number, ranks[:, number]) for number in range(classes)])
    assert Metric.open("auc").score(truth, blend_of_ranks) == pytest.approx(theirs)


def test_ranks_of_three_classes_are_blended_and_written_as_they_are() -> None:
    members, _ = drawn(1, members=2, rows=6, classes=3)
    ids, folds = np.array(list("abcdef")), np.zeros(6, dtype=np.int64)
    predictions = [Predictions(ids, folds, ("x", "y", "z"), one) for one in members]
    given = [
        Member(f"m{n}", "plain", Folds(ids, folds[:, None]), one, one) for n, one in enumerate(predictions)
    ]
    test = blend_test_rows(given, Ensembler.open("rank"), ids.tolist())
    np.testing.assert_allclose(test.probabilities, blended("rank", members), rtol=1e-6)
    with pytest.raises(InvalidError, match="its sum is not 1"):  # any other ensembler is held to it
        test.check()


def test_rank_does_not_see_how_confident_a_member_is() -> None:
    shy = MEMBERS[1] * [0.01, 1]
    shy /= shy.sum(axis=1, keepdims=True)
    assert np.allclose(blended("rank", np.stack([MEMBERS[0], shy])), blended("rank"))


def test_weights_count_in_the_order_of_the_members() -> None:
    assert np.allclose(blended({"name": "weighted", "weights": [3, 1]})[0], [0.725, 0.275])


def test_without_weights_all_members_count_alike() -> None:
    assert np.allclose(blended("weighted"), blended("mean"))


def test_as_many_weights_as_members() -> None:
    with pytest.raises(ConfigError, match="3 weights for 2 members"):
        blended({"name": "weighted", "weights": [1, 1, 1]})


@pytest.mark.parametrize("weights", [[1, -1], [0, 0]])
def test_weights_that_mean_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(ConfigError, match=r"ensembler\.weights: weights are 0 or more, and one is above 0"):
        Ensembler.open({"name": "weighted", "weights": weights})


def test_the_members_are_left_alone() -> None:
    for name in ("mean", "geometric", "rank", "weighted"):
        members = MEMBERS.copy()
        blended(name, members)
        assert (members == MEMBERS).all(), name


def test_power_by_hand() -> None:
    # quadratic means of .8 .5 and of .2 .5
    one, two = np.sqrt((0.64 + 0.25) / 2), np.sqrt((0.04 + 0.25) / 2)
    assert blended({"name": "power", "power": 2})[0, 0] == pytest.approx(one / (one + two))
    # harmonic means: 2 / (1/.8 + 1/.5) and 2 / (1/.2 + 1/.5)
    one, two = 2 / 3.25, 2 / 7
    assert blended({"name": "power", "power": -1})[0, 0] == pytest.approx(one / (one + two))


def test_power_meets_the_other_means() -> None:
    assert np.allclose(blended({"name": "power", "power": 1}), blended("mean"))
    assert np.allclose(blended({"name": "power", "power": 1e-4}), blended("geometric"), atol=1e-4)
    assert np.allclose(
        blended({"name": "power", "power": 20})[0, 0], 0.8 / 1.3, atol=0.02
    )  # nearly the maximum


def test_power_zero_has_another_name() -> None:
    with pytest.raises(ConfigError, match="ensembler=geometric"):
        Ensembler.open({"name": "power", "power": 0})


def test_vote_by_hand() -> None:
    three = np.array([[[0.6, 0.4, 0]], [[0.6, 0.4, 0]], [[0.0, 0.1, 0.9]]])
    shares = blended("vote", three)[0]
    assert np.allclose(shares, [2 / 3, 0, 1 / 3], atol=1e-3)
    assert np.allclose(blended("mean", three)[0], [0.4, 0.3, 0.3])


def test_ties_of_votes_go_by_the_mean() -> None:
    assert blended("vote", np.array([[[0.6, 0.4]], [[0.1, 0.9]]]))[0].argmax() == 1
    assert blended("vote", np.array([[[0.9, 0.1]], [[0.4, 0.6]]]))[0].argmax() == 0


SEVERAL = np.array([[[0.9, 0.2], [0.1, 0.8], [0.5, 0.1]], [[0.6, 0.4], [0.3, 0.2], [0.5, 0.9]]])


def several(spec: str | dict[str, Any]) -> np.ndarray:
    recipe = Ensembler.open(spec)
    assert recipe.takes_labels("multi_hot")
    return recipe.with_known(target=MULTI_HOT).blend(SEVERAL)


def test_means_of_several_labels_a_row_are_taken_by_class_and_not_normalised() -> None:
    np.testing.assert_allclose(several("mean"), [[0.75, 0.3], [0.2, 0.5], [0.5, 0.5]])
    weighted = several({"name": "weighted", "weights": [3, 1]})
    np.testing.assert_allclose(weighted[0], [0.75 * 0.9 + 0.25 * 0.6, 0.75 * 0.2 + 0.25 * 0.4])


def test_the_geometric_mean_of_several_labels_is_that_of_yes_and_no_for_each_class() -> None:
    yes, no = np.sqrt(0.9 * 0.6), np.sqrt(0.1 * 0.4)
    blend_of_labels = several("geometric")
    assert blend_of_labels[0, 0] == pytest.approx(yes / (yes + no))
    # each class alone is a competition of two classes, no and yes
    for number in (0, 1):
        two = np.stack([1 - SEVERAL[:, :, number], SEVERAL[:, :, number]], axis=2)
        np.testing.assert_allclose(blend_of_labels[:, number], blended("geometric", two)[:, 1])


def test_ranks_of_several_labels_are_within_each_class() -> None:
    # class 0 ranks 3 1 2 and 3 1 2; class 1 ranks 2 3 1 and 2 1 3
    np.testing.assert_allclose(several("rank") * 4, [[3, 2], [1, 2], [2, 2]])
