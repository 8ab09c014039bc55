"""The noise of a score is the standard error that statistics gives for samples of the test set's size."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from kit.config.workspace import Workspace
from kit.errors import InvalidError, KitError
from kit.evaluation.standard_error import error as error_and_draws
from kit.kinds import Metric
from kit.stages.blending.blend import blend
from kit.stages.leaderboard.noise import Noise, noise
from kit.stages.submission.board import Board
from tests.written_runs import competition, write_run

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 3, 3000)
SHARES = RNG.dirichlet(np.ones(3), 3000) + 0.6 * np.eye(3)[TRUTH]
SHARES = (SHARES / SHARES.sum(axis=1, keepdims=True)).astype(np.float32)


def error(*arguments: Any) -> float:
    return error_and_draws(*arguments)[0]


RIGHT = float((SHARES.argmax(axis=1) == TRUTH).mean())


@pytest.mark.parametrize("rows", [100, 600])
def test_the_error_of_accuracy_is_that_of_a_share(rows: int) -> None:
    standard_error = error(Metric.open("accuracy"), TRUTH, SHARES, rows)
    assert standard_error == pytest.approx(math.sqrt(RIGHT * (1 - RIGHT) / rows), rel=0.1)


def test_the_error_of_log_loss_is_that_of_a_mean() -> None:
    losses = -np.log(SHARES[np.arange(3000), TRUTH])
    standard_error = error(Metric.open("log_loss"), TRUTH, SHARES, 400)
    assert standard_error == pytest.approx(losses.std() / math.sqrt(400), rel=0.1)


def test_the_error_of_macro_f1_is_what_sklearn_gives_on_other_draws() -> None:
    rng, said = np.random.default_rng(7), SHARES.argmax(axis=1)
    drawn = [rng.integers(3000, size=300) for _ in range(300)]
    expected = np.std([f1_score(TRUTH[rows], said[rows], average="macro") for rows in drawn], ddof=1)
    assert error(Metric.open("macro_f1"), TRUTH, SHARES, 300) == pytest.approx(expected, rel=0.15)


class Plain(Metric):
    """Accuracy without shortcuts."""

    def score(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        if len(set(truth.tolist())) < 3:
            raise InvalidError("no score")
        return float((probabilities.argmax(axis=1) == truth).mean())


def test_a_metric_without_shortcuts_has_the_same_error() -> None:
    standard_error = error(Plain(), TRUTH, SHARES, 300)
    assert standard_error == pytest.approx(math.sqrt(RIGHT * (1 - RIGHT) / 300), rel=0.1)


def test_samples_without_a_score_are_left_out_and_most_must_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert error(Plain(), TRUTH, SHARES, 8) > 0  # 3 classes in 8 rows: nearly always
    monkeypatch.setattr(Plain, "plugin_name", classmethod(lambda cls: "plain"))
    with pytest.raises(InvalidError, match="D46 plain has no score on most samples of 3 rows"):
        error(Plain(), TRUTH, SHARES, 3)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([1.0, 3.0, math.nan, math.nan], math.sqrt(2)),  # half of the samples are enough; ddof 1
        ([1.0, 2.0, 3.0] + [math.nan] * 6, "has no score on most samples of 7 rows"),
        ([1.0, math.nan, math.nan], "has no score on most samples"),
        ([0.5, 0.5, 0.5], "is equal on all samples of 7 rows"),
    ],
)
def test_the_error_needs_half_of_the_samples_and_different_scores(
    scores: list[float], expected: float | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "kit.evaluation.bootstrap.resample_scores", lambda *_, **__: np.array(scores)[:, None]
    )
    if isinstance(expected, str):
        with pytest.raises(InvalidError, match=f"D46 accuracy {expected}"):
            error(Metric.open("accuracy"), TRUTH, SHARES, 7)
    else:
        given, draws = error_and_draws(Metric.open("accuracy"), TRUTH, SHARES, 7)
        assert given == pytest.approx(expected)
        assert draws == len(scores)


def test_copies_in_a_group_say_no_more_than_one_row() -> None:
    groups = np.repeat([f"g{n}" for n in range(3000)], 10)
    truth, shares = np.repeat(TRUTH, 10), np.repeat(SHARES, 10, axis=0)
    order = np.random.default_rng(1).permutation(30000)
    standard_error = error(Metric.open("accuracy"), truth[order], shares[order], 1000, groups[order])
    assert standard_error == pytest.approx(math.sqrt(RIGHT * (1 - RIGHT) / 100), rel=0.1)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    space = competition(tmp_path, public_share=0.25, data={"group": None})
    write_run(tmp_path, "c", wrong=[0, 4, 8])
    blend(space, ["c"])
    return space


def entry_noise(workspace: Workspace) -> Noise:
    return noise(workspace, Board.read(workspace.submissions).entry(1))


def test_the_parts_of_the_test_set_have_errors_of_their_own(workspace: Workspace) -> None:
    result = entry_noise(workspace)
    assert (result.metric, result.number, result.rows, result.by_groups) == ("accuracy", 1, 9, False)

    def by_hand(rows: int) -> object:  # six of nine are right
        return pytest.approx(math.sqrt(2 / 9 / rows), rel=0.15)

    assert result.of_cv == by_hand(9)
    assert result.test == (4, by_hand(4))
    assert result.public == (1, by_hand(1))
    assert result.private == (3, by_hand(3))
    assert (result.of_leaderboard, result.of_final) == (result.public[1], result.private[1])
    assert result.of_gap == pytest.approx((result.of_leaderboard**2 + result.of_cv**2) ** 0.5)


def test_without_a_public_share_the_whole_test_set_counts(tmp_path: Path) -> None:
    space = competition(tmp_path)
    blend(space, ["b"])
    result = entry_noise(space)
    assert (result.public, result.private, result.by_groups) == (None, None, True)
    assert result.of_leaderboard == result.of_final == result.test[1]


def test_a_fitted_ensembler_is_taken_as_it_was_fitted(tmp_path: Path) -> None:
    space = competition(tmp_path, data={"group": None})
    write_run(tmp_path, "c", wrong=[0, 4, 8])
    blend(space, ["a", "c"], ensembler={"name": "weighted", "weights": [0, 1]})
    assert entry_noise(space).of_cv == pytest.approx(math.sqrt(2 / 9 / 9), rel=0.15)


def test_predictions_that_are_gone_are_an_error(workspace: Workspace) -> None:
    (workspace.root / "runs/c/predictions/plain/oof.parquet").unlink()
    with pytest.raises(KitError):
        entry_noise(workspace)
    (workspace.submissions / "0001-mean-c.json").unlink()
    with pytest.raises(InvalidError, match=r"0001-mean-c\.json is missing or damaged"):
        entry_noise(workspace)
