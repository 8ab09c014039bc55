"""Auto takes the simplest candidate that none is shown to beat, by folds and groups."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from kit.evaluation import bootstrap
from kit.evaluation.competition import for_labels
from kit.evaluation.crossfit import cross_fit
from kit.kinds import Ensembler
from kit.kinds.targets import NUMBERS
from tests.drawn_members import drawn

AUTO = {"name": "auto", "metric": "macro_f1"}


def chosen(members: np.ndarray, truth: np.ndarray, **options: Any) -> str:
    name: str = Ensembler.open({**AUTO, **options}).fit(members, truth).spec()["chosen"]["name"]
    return name


def test_members_with_errors_of_their_own_are_averaged() -> None:
    members, truth = drawn(members=4, rows=600, shared=0)
    assert chosen(members, truth, candidates=["single", "mean", "hill_climb"]) == "mean"


def test_one_good_member_among_noise_stays_alone() -> None:
    good, truth = drawn(0, 1, 400, signal=3.0)
    members = np.concatenate([good, drawn(1, 2, 400, signal=0.0)[0]])
    assert chosen(members, truth) == "single"


def test_good_members_among_confident_noise_are_weighted() -> None:
    good, truth = drawn(0, 3, 600, signal=2.0)
    members = np.concatenate([good, drawn(1, 6, 600, signal=0.0, shared=4.0)[0]])
    assert chosen(members, truth, candidates=["single", "mean", "simplex"]) == "simplex"


def test_equal_members_leave_nothing_to_choose() -> None:
    members, truth = drawn(members=1)
    assert chosen(members[[0, 0, 0]], truth) == "single"


def test_the_candidates_may_be_of_any_kind() -> None:
    members, truth = drawn(members=2, rows=100)
    spec = {**AUTO, "candidates": [{"name": "temperature", "base": "hill_climb"}, "rank"]}
    fitted = Ensembler.open(spec).fit(members, truth)
    assert fitted.spec()["chosen"]["base"]["metric"]["name"] == "macro_f1"
    assert len(fitted.spec()["scores"]) == 2


def test_it_is_written_down_and_applied_again() -> None:
    members, truth = drawn(members=3, rows=100)
    fitted = Ensembler.open(AUTO).fit(members, truth)
    again = Ensembler.open(json.loads(json.dumps(fitted.spec())))
    assert again == fitted
    assert (again.blend(members) == fitted.blend(members)).all()


def test_the_choice_is_cross_fitted_by_the_folds_and_groups_of_the_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[np.ndarray] = []
    real = bootstrap.resample_scores

    def watched(metric: Any, truth: Any, predictions: Any, groups: Any = None, seed: int = 0) -> np.ndarray:
        seen.append(groups)
        return real(metric, truth, predictions, groups, seed)

    monkeypatch.setattr(bootstrap, "resample_scores", watched)
    members, truth = drawn(members=2, rows=60)
    groups = np.arange(60) // 2
    cross_fit(Ensembler.open({**AUTO, "candidates": ["single", "mean"]}), members, truth, groups % 3, groups)
    assert [sorted(set((one % 3).tolist())) for one in seen] == [[1, 2], [0, 2], [0, 1], [0, 1, 2]]


def test_it_takes_the_labels_that_a_candidate_takes() -> None:
    assert Ensembler.open("auto").takes_labels("multi_hot")
    assert not Ensembler.open({"name": "auto", "candidates": ["temperature"]}).takes_labels("multi_hot")
    mixed = Ensembler.open({"name": "auto", "candidates": ["temperature", "mean"]})
    assert mixed.takes_labels("numbers")
    rng = np.random.default_rng(0)
    fitted = for_labels(mixed, NUMBERS).fit(rng.normal(size=(2, 20, 1)), rng.normal(size=(20, 1)))
    assert [one["name"] for one in fitted.spec()["candidates"]] == ["mean"]
