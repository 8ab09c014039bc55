"""What a blend returns: its text and its table, the scores of some members, and the score of written decisions."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from kit.config.workspace import Workspace
from kit.core.progress import ResultOf
from kit.data.folds import Folds
from kit.data.predictions import Predictions, Provenance, ids_fingerprint
from kit.errors import ConfigError, InvalidError, KitWarning
from kit.kinds.targets import MULTI_HOT
from kit.stages.blending.blend import (
    Submitted,
    blend,
    cross_validate,
    diversity,
    fit_some,
    score_of,
    submit,
    subset_spec,
)
from tests.blends import submit_blend
from tests.written_runs import CLASSES, TEST, answer_competition, competition, write_run

WEIGHTED = {"name": "weighted", "weights": [3, 1]}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return competition(tmp_path)


def test_the_text_has_the_gains_of_two_members_and_no_gain_of_one(workspace: Workspace) -> None:
    lines = repr(submit_blend(workspace, ["a", "b"], WEIGHTED)).splitlines()
    assert lines[0].endswith("4 rows, format label, rank 1 on the board")
    assert lines[1] == "blend: accuracy 1.0000 on 9 out-of-fold rows"
    assert [line.partition(":")[0] for line in lines[2:]] == ["over the best member", "over the mean"]
    lines = repr(submit_blend(workspace, ["a", "b"], "mean")).splitlines()
    assert [line.partition(":")[0] for line in lines[2:]] == ["over the best member"]
    assert len(repr(submit_blend(workspace, ["a"])).splitlines()) == 2


def test_the_text_says_that_all_weight_is_on_one_member(workspace: Workspace) -> None:
    lines = repr(submit_blend(workspace, ["a", "b"], "hill_climb")).splitlines()
    assert lines[2:] == ["all weight is on a@plain, so the blend equals this member and has no gain"]


def test_the_table_has_a_row_for_each_member_the_mean_and_the_blend(workspace: Workspace) -> None:
    frame = submit_blend(workspace, ["a", "b"]).to_frame()
    assert frame["name"].tolist() == ["a@plain", "b@plain", "mean", "blend"]
    assert frame["nested"].tolist() == pytest.approx([1, 8 / 9, 1, 1])
    assert frame["fold_1"].tolist() == pytest.approx([1, 2 / 3, 1, 1])
    assert frame["gain"].tolist() == pytest.approx([0, -1 / 9, 0, 0])  # over the best member


def test_gains_in_the_table_are_over_the_best_member_and_not_the_mean(tmp_path: Path) -> None:
    frame = submit_blend(competition(tmp_path, metric="log_loss"), ["a", "b"]).to_frame()
    a, mean = -np.log(0.8), -(8 * np.log(0.7) + np.log(0.5)) / 9
    assert frame["gain"].tolist()[2:] == pytest.approx([a - mean] * 2, abs=1e-6)


def test_progress_has_two_parts(workspace: Workspace) -> None:
    work = ResultOf(blend.with_progress(workspace, ["a", "b"]))
    assert [(step.done, step.total) for step in work] == [(0, 2), (1, 2)]
    assert isinstance(work.result, Submitted)


def test_without_a_sample_the_blend_is_scored_and_cannot_be_written(tmp_path: Path) -> None:
    workspace = competition(tmp_path, data={"sample": None, "test": "train.csv"})
    scored = blend(workspace, ["a", "b"])
    assert not isinstance(scored, Submitted)
    assert repr(scored).splitlines()[0] == "blend: accuracy 1.0000 on 9 out-of-fold rows"
    assert not workspace.submissions.exists()
    evaluated = cross_validate(workspace, ["a", "b"])
    with pytest.raises(ConfigError, match="C07 .*sample"):
        submit(workspace, evaluated, evaluated.members, "x")


def test_a_score_on_other_rows_is_not_ranked_and_other_metrics_do_not_count(workspace: Workspace) -> None:
    submit_blend(workspace, ["a"])
    submit_blend(workspace, ["b"])
    write_run(workspace.root, "b", rows=[0, 1, 2, 3])
    apart = submit_blend(workspace, ["b"], name="few")
    assert (apart.is_apart, apart.elsewhere) == (True, 2)
    assert repr(apart).splitlines()[0].endswith("not ranked on the board")
    other = Workspace.find(workspace.root, ["metric=log_loss"])
    assert submit_blend(other, ["a"], name="loss").elsewhere == 0


def test_answers_are_scored_and_not_their_images(tmp_path: Path) -> None:
    scored = submit_blend(answer_competition(tmp_path), ["a"])
    assert (scored.rows, scored.test_rows) == (3, 2)
    # the three images of a person say .8 for another class each: their mean is even, so the first class
    assert scored.cv == pytest.approx(1 / 3)
    assert [spec["name"] for spec in scored.aggregators] == ["mean"]


# scores of some of the members


def test_some_members_keep_their_weights(tmp_path: Path) -> None:
    evaluated = cross_validate(competition(tmp_path, metric="log_loss"), ["a", "b"], WEIGHTED)
    a, b = np.full(9, 0.8), np.full(9, 0.6)
    b[4] = 0.2  # the true class, where b is wrong
    for places, expected in (([0], a), ([1], b), ([0, 1], 0.75 * a + 0.25 * b)):
        assert score_of(evaluated, places) == pytest.approx(np.log(expected).mean(), abs=1e-6)
    assert subset_spec(WEIGHTED, [1], 2) == {"name": "weighted", "weights": [1]}
    assert subset_spec({"name": "mean"}, [1], 2) == {"name": "mean"}


def test_a_score_of_some_members_is_higher_if_better(workspace: Workspace) -> None:
    evaluated = cross_validate(workspace, ["a", "b"])
    assert [score_of(evaluated, [place]) for place in (0, 1)] == pytest.approx([1, 8 / 9])


def test_an_ensembler_is_fitted_again_to_some_members(workspace: Workspace) -> None:
    evaluated = cross_validate(workspace, ["a", "b", "a@d4"], "hill_climb")
    _, recipe = fit_some(evaluated, [1, 2])
    assert recipe.spec()["weights"] == [0, 1]  # b is wrong in one row, a@d4 in none


# decisions in the file


def test_written_labels_are_scored_as_the_file_has_them(tmp_path: Path) -> None:
    labels = submit_blend(competition(tmp_path / "x", metric="log_loss"), ["a", "b"])
    assert labels.cv == pytest.approx(-(8 * np.log(0.7) + np.log(0.5)) / 9, abs=1e-6)
    assert labels.written.score == pytest.approx(0, abs=1e-6)  # every label is right
    assert (labels.written.in_file, labels.written.rule, labels.written.decision) == (True, "", None)
    assert labels.written.without_label == 0
    shares = competition(tmp_path / "y", metric="log_loss", header="id,ant,bee,cat", cells=",0.3,0.3,0.4")
    probabilities = submit_blend(shares, ["a", "b"])
    assert probabilities.written.score == probabilities.cv
    assert not probabilities.written.in_file


ROWS = {"r0": "ant bee", "r1": "bee", "r2": "", "r3": "cat", "r4": "ant cat", "r5": ""}
SHARES = np.array(
    [[0.9, 0.6, 0.1], [0.2, 0.4, 0.1], [0.3, 0.1, 0.2], [0.1, 0.7, 0.8], [0.6, 0.1, 0.7], [0.4, 0.2, 0.6]],
    np.float32,
)


def several_labels(root: Path, header: str, cells: str) -> Workspace:
    """A competition of six rows with several labels, and the run `m`."""
    (root / "data").mkdir(parents=True)
    lines = [f"{name},{labels}" for name, labels in ROWS.items()]
    (root / "data" / "train.csv").write_text("\n".join(["id,label", *lines]) + "\n")
    (root / "data" / "sample_submission.csv").write_text(f"{header}\nx,{cells}\n")
    config = {"data": {"label_separator": " "}, "metric": {"name": "f1", "average": "micro"}}
    (root / "config.json").write_text(json.dumps(config))
    ids, numbers = np.array(list(ROWS)), np.arange(6) % 2
    folds = Folds(ids, numbers[:, None])
    folds.write(root / "runs" / "m" / "folds.csv")
    marks = Provenance(run="m", views="plain", ids=ids_fingerprint(["x"]), folds=folds.fingerprint())
    views = root / "runs" / "m" / "predictions" / "plain"
    Predictions(ids, numbers, CLASSES, SHARES, marks, MULTI_HOT).write(views / "oof.parquet")
    two = Predictions(np.array(["x", "x"]), np.array([0, 1]), CLASSES, SHARES[:2], marks, MULTI_HOT)
    two.write(views / "test.parquet")
    return Workspace.open(root)


def test_rows_without_a_label_are_counted_and_decisions_are_scored(tmp_path: Path) -> None:
    workspace = several_labels(tmp_path, "id,label", "ant bee")
    written = submit_blend(workspace, ["m"]).written
    decided = SHARES >= 0.5
    truth = np.array([[name in labels for name in CLASSES] for labels in ROWS.values()])
    assert written.score == pytest.approx(f1_score(truth, decided, average="micro"))
    assert written.without_label == 2  # r1 and r2
    assert written.decision == {"threshold": 0.5, "min_labels": 0}
    assert written.in_file
    assert written.rule.startswith("labels with probability 0.5 or more, a row may have no label")


def test_a_file_of_probabilities_has_no_decisions(tmp_path: Path) -> None:
    workspace = several_labels(tmp_path, "id,ant,bee,cat", "0.25,0.5,0.75")
    written = submit_blend(workspace, ["m"]).written
    assert not written.in_file
    assert written.rule


# diversity


def test_diversity_checks_the_members_as_a_blend_does(workspace: Workspace) -> None:
    write_run(workspace.root, "b", rows=[0, 1, 2, 3])
    with pytest.warns(KitWarning, match="W10 only the 4 rows"):
        diversity(workspace, ["a", "b"])
    write_run(workspace.root, "b", oof_folds=[1, *[0] * 2, *[1] * 3, *[2] * 3])
    with pytest.raises(InvalidError, match="D43"):
        diversity(workspace, ["a", "b"])
    write_run(workspace.root, "b", test=TEST)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        diversity(workspace, ["a", "b"])
