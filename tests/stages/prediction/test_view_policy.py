"""Policies: views chosen by hand-worked rules, honest out-of-fold rows, and nothing computed twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kit.commands._menu import run as command
from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.table import train_table
from kit.errors import ConfigError
from kit.kinds import Ensembler, Metric
from kit.plugins.ensembler.greedy import Greedy
from kit.stages.prediction.tta import tta
from kit.stages.prediction.view_policy import choose_views
from tests.blends import submit_blend


def read(space: Path, views: str, split: str = "oof") -> Predictions:
    return Predictions.read(space / "runs" / "a" / "predictions" / views / f"{split}.parquet")


def truth_of(space: Path, predictions: Predictions) -> np.ndarray:
    table = train_table(space, Workspace.open(space).competition.data)
    return table.targets()[[table.ids.tolist().index(name) for name in predictions.ids.tolist()]]


def test_a_folds_rows_are_averaged_by_the_choice_that_the_other_folds_made(space: Path) -> None:
    (result,) = choose_views(space, ["runs/a"], "d4")
    predictions, views = (
        read(space, "d4-greedy"),
        [read(space, "plain"), *(read(space, f"d4-{n}") for n in range(1, 8))],
    )
    assert all(view.ids.tolist() == predictions.ids.tolist() for view in views)
    shares, truth = np.stack([view.probabilities for view in views]), truth_of(space, predictions)
    for fold in (0, 1):
        held = predictions.folds == fold
        fitted = Ensembler.open("greedy").fit(shares[:, ~held], truth[~held])
        np.testing.assert_allclose(predictions.probabilities[held], fitted.blend(shares[:, held]), atol=1e-6)
    assert result.nested == pytest.approx(Metric.open("macro_f1").score(truth, predictions.probabilities))
    assert predictions.provenance.require_scores()["macro_f1"] == pytest.approx(result.nested)


def test_test_rows_are_averaged_fold_by_fold_by_the_choice_that_all_rows_made(space: Path) -> None:
    choose_views(space, ["runs/a"], "hflip")
    predictions = read(space, "hflip-greedy", "test")
    policy = read(space, "hflip-greedy").provenance.policy
    assert policy is not None
    fitted = Ensembler.open(policy.recipe)
    views = [read(space, "plain", "test"), read(space, "hflip-1", "test")]
    for fold in (0, 1):
        shares = np.stack([view.take(view.folds == fold).probabilities for view in views])
        mine = predictions.take(predictions.folds == fold)
        assert mine.ids.tolist() == views[0].take(views[0].folds == fold).ids.tolist()
        np.testing.assert_allclose(mine.probabilities, fitted.blend(shares), atol=1e-6)


def test_the_mean_of_all_views_is_the_set_by_itself(space: Path) -> None:
    (result,) = choose_views(space, ["runs/a"], "flip", "mean")
    (whole,) = tta(space, ["runs/a"], "flip")
    for split in ("oof", "test"):
        one, other = read(space, "flip-mean", split), read(space, "flip", split)
        np.testing.assert_allclose(one.mean().align(other.mean().ids), other.mean().probabilities, atol=1e-6)
    assert result.nested == pytest.approx(whole.scores["macro_f1"])
    assert result.others["flip"] == pytest.approx(whole.scores["macro_f1"])


def test_views_that_are_there_are_not_computed_again(space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = choose_views(space, ["runs/a"], "flip")

    def never(*_: object) -> None:
        raise AssertionError("a network was asked")

    monkeypatch.setattr("kit.model.predict.Predictor.probabilities", never)
    (again,) = choose_views(space, ["runs/a"], "flip")
    (other,) = choose_views(space, ["runs/a"], "flip", {"name": "simplex"})
    assert again == first
    assert other.member == "runs/a@flip-simplex"


def test_a_policy_is_a_member_like_any_other(space: Path) -> None:
    (result,) = choose_views(space, ["runs/a"], "flip")
    submitted = submit_blend(Workspace.open(space), [result.member, "runs/a@plain"])
    record = json.loads(submitted.record.read_text())
    assert record["members"][0]["oof"]["policy"]["names"] == [
        "plain",
        "verticalflip",
        "horizontalflip",
        "horizontalflip, verticalflip",
    ]


def test_one_view_leaves_nothing_to_choose(space: Path) -> None:
    with pytest.raises(
        ConfigError, match="C12 views 'plain' has only one view, so there is nothing to choose"
    ):
        choose_views(space, ["runs/a"], "plain")


def test_the_command_says_what_is_averaged_and_whether_that_is_worth_it(
    space: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    inside(space)
    assert command(["tta", "--checkpoints", "runs/a", "--views", "flip", "--choose-views", "greedy"]) == 0
    said = capsys.readouterr()
    assert said.out == "runs/a@flip-greedy\n"
    assert "  weighted mean of " in said.err
    assert "  nested 0." in said.err
    assert "  over plain 0." in said.err
    assert "  over flip 0." in said.err
    assert "next: kit blend runs/a@flip-greedy" in said.err
    assert (
        command(
            ["tta", "-c", "runs/a", "--views", "flip", "--choose-views", "greedy", "--merge", "geometric"]
        )
        == 2
    )


# ------------------------------------------------------------------------------------------- the greedy choice


def test_views_are_taken_as_long_as_their_mean_gets_better() -> None:
    truth = np.array([0, 1])
    good = np.array([[0.8, 0.2], [0.4, 0.6]])  # -log: .223, .511, mean .367
    mirror = np.array([[0.5, 0.5], [0.2, 0.8]])  # .693, .223, mean .458; with good: .65 and .7, mean .394
    best = np.array([[0.9, 0.1], [0.2, 0.8]])  # .105, .223, mean .164
    greedy = Greedy()
    assert greedy.fit(np.stack([good, mirror, best]), truth).weights == (0, 0, 1)
    lopsided = np.array([[0.98, 0.02], [0.45, 0.55]])  # .020, .598, mean .309
    other = np.array([[0.45, 0.55], [0.02, 0.98]])  # .799, .020, mean .409; both: .715 and .765, mean .302
    assert greedy.fit(np.stack([other, lopsided]), truth).weights == (1, 1)
    asks_much = Greedy(min_gain=0.05)
    assert asks_much.fit(np.stack([other, lopsided]), truth).weights == (0, 1)


def test_a_view_is_taken_once() -> None:
    rng = np.random.default_rng(0)
    members = rng.dirichlet(np.ones(3), (5, 40))
    fitted = Greedy().fit(members, rng.integers(0, 3, 40))
    assert set(fitted.weights) <= {0.0, 1.0}
    chosen = [number for number, weight in enumerate(fitted.weights) if weight]
    np.testing.assert_allclose(fitted.blend(members), members[chosen].mean(axis=0))
