"""Several labels a row, the whole road: train, tta, blend, submission, board; and what does not fit is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.data.predictions import Predictions
from kit.data.table import train_table
from kit.errors import ConfigError, DataError, InvalidError, KitWarning
from kit.experiment.dry_run import dry_run
from kit.experiment.sample_format import choose_format
from kit.kinds import KINDS
from kit.kinds.label_kinds import check_takes, plugins_taking
from kit.kinds.registry import locations
from kit.kinds.targets import MULTI_HOT
from kit.runs.run import Run, provenance
from kit.stages.blending.blend import blend
from kit.stages.leaderboard.noise import noise
from kit.stages.prediction.tta import tta
from kit.stages.prediction.view_policy import choose_views
from kit.stages.submission.board import Board
from kit.stages.submission.validation import check_submission
from kit.stages.training.soup import make_soup
from kit.stages.training.train import train, train_run
from tests.blends import submit_blend
from tests.drawing import CLASSES, draw_several


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two members of a competition of several labels a row, over four views each."""
    root = draw_several(tmp_path_factory.mktemp("several") / "space")
    train(root, name="a")
    train(root, ["loss=cutmix", "loss.base=asymmetric"], name="b")
    tta(root, ["runs/a", "runs/b"], "flip")
    tta(root, ["runs/a"], "hflip", "geometric")
    return root


def test_predictions_are_a_question_a_class(trained: Path) -> None:
    for views in ("plain", "flip", "hflip-geometric"):
        predictions = Predictions.read(trained / "runs" / "a" / "predictions" / views / "oof.parquet")
        assert predictions.multi_label
        assert (len(predictions), predictions.classes) == (60, CLASSES)
        assert np.abs(predictions.probabilities.sum(axis=1) - 1).max() > 0.1
    assert Predictions.read(trained / "runs" / "b" / "predictions" / "flip" / "test.parquet").multi_label


def test_scores_are_those_of_several_labels(trained: Path) -> None:
    from sklearn.metrics import f1_score

    predictions = Predictions.read(trained / "runs" / "a" / "predictions" / "plain" / "oof.parquet")
    table = train_table(trained, Workspace.open(trained).competition.data)
    said = predictions.align(table.ids) >= 0.5
    expected = f1_score(table.labels, said, average="macro", zero_division=0)
    assert predictions.provenance.scores is not None
    assert predictions.provenance.scores["macro_f1"] == pytest.approx(expected)
    assert set(predictions.provenance.scores) == {"macro_f1", "log_loss", "accuracy"}


@pytest.mark.parametrize(
    "ensembler",
    [
        "mean",
        "geometric",
        "rank",
        "hill_climb",
        "simplex",
        "power",
        "class_thresholds",
        {"name": "weighted", "weights": [2, 1]},
    ],
    ids=str,
)
def test_members_blend_into_a_submission_on_the_board(trained: Path, ensembler: str | dict[str, Any]) -> None:
    space = Workspace.open(trained)
    submission = submit_blend(space, ["runs/a@flip", "runs/b@flip"], ensembler)
    assert (submission.format, submission.metric, submission.rows, submission.test_rows) == (
        "labels",
        "macro_f1",
        60,
        12,
    )
    table = pd.read_csv(submission.path, dtype=str, keep_default_na=False)
    assert list(table.columns) == ["id", "shapes"]
    for cell in table["shapes"]:
        labels = cell.split(" ") if cell else []  # training rows have no label, so a row may have none
        assert labels == [name for name in CLASSES if name in labels]
    assert json.loads(submission.record.read_text())["target"] == "multi_hot"
    assert submission.number in {entry.number for entry in Board.read(space.submissions).entries}


def test_the_submission_holds_what_reaches_the_threshold(trained: Path) -> None:
    space = Workspace.open(trained)
    submission = submit_blend(space, ["runs/a@hflip-geometric"])
    test = Predictions.read(
        trained / "runs" / "a" / "predictions" / "hflip-geometric" / "test.parquet"
    ).mean()
    table = pd.read_csv(submission.path, dtype=str, keep_default_na=False)
    for cell, shares in zip(table["shapes"], test.align(table["id"]), strict=True):
        reach = [name for name, share in zip(CLASSES, shares, strict=True) if share >= 0.5]
        assert cell == " ".join(reach)


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"threshold": 0.35},
        {"min_labels": 1},
        {"threshold": 0.6, "min_labels": 2},
        {"threshold": 0.1, "max_labels": 1},
    ],
)
def test_what_is_scored_is_what_is_written_and_another_rule_is_another_submission(
    rule: dict[str, float], trained: Path
) -> None:
    from sklearn.metrics import f1_score

    keys = [f"decision.{key}={value}" for key, value in rule.items()]
    space = Workspace.find(trained, keys)
    submission = submit_blend(space, ["runs/a@flip", "runs/b@flip"], "mean", name="rule")
    files = [trained / "runs" / name / "predictions" / "flip" for name in "ab"]
    oof = [Predictions.read(file / "oof.parquet").mean() for file in files]
    table = train_table(trained, space.competition.data)
    shares = np.mean([one.align(table.ids) for one in oof], axis=0)
    decided = shares >= rule.get("threshold", 0.5)
    for row in np.flatnonzero(decided.sum(axis=1) < rule.get("min_labels", 0)):
        decided[row, np.argsort(-shares[row])[: int(rule["min_labels"])]] = True
    for row in np.flatnonzero(decided.sum(axis=1) > rule.get("max_labels", len(CLASSES))):
        decided[row, np.argsort(shares[row])[: -int(rule["max_labels"])]] = False
    expected = f1_score(table.labels, decided, average="macro", zero_division=0)
    assert submission.cv == submission.written.score == pytest.approx(expected)
    assert submission.written.without_label == (~decided.any(axis=1)).sum()
    record = json.loads(submission.record.read_text())
    assert record["decision"] == {"threshold": 0.5, "min_labels": 0, **rule}
    cells = pd.read_csv(submission.path, dtype=str, keep_default_na=False)["shapes"]
    counts = [len(cell.split()) for cell in cells]
    assert min(counts) >= rule.get("min_labels", 0)
    assert max(counts) <= rule.get("max_labels", len(CLASSES))
    again = submit_blend(space, ["runs/a@flip", "runs/b@flip"], "mean", name="rule")
    assert (again.number, again.is_new) == (submission.number, False)
    other = submit_blend(
        Workspace.find(trained, ["decision.threshold=0.111"]), ["runs/a@flip", "runs/b@flip"], "mean", "rule"
    )
    assert other.number != submission.number


def test_tta_and_the_noise_of_a_submission_go_by_the_rule(trained: Path) -> None:
    space = Workspace.find(trained, ["decision.threshold=0.35"])
    (tta_result,) = tta(space, ["runs/a"], "flip")
    table = train_table(trained, space.competition.data)
    shares = Predictions.read(tta_result.folder / "oof.parquet").mean().align(table.ids)
    right = ((shares >= 0.35) == (table.targets() == 1)).all(axis=1)
    assert tta_result.scores["accuracy"] == pytest.approx(right.mean())
    other_workspace = Workspace.find(trained, ["decision.threshold=0.35", "metric=accuracy"])
    number = submit_blend(other_workspace, ["runs/a@flip"], name="noise").number
    score_noise = noise(
        Workspace.open(trained), Board.read(space.submissions).entry(number)
    )  # by its record, not by config
    by_chance = np.sqrt(right.mean() * (1 - right.mean()) / 60)
    assert score_noise.of_cv == pytest.approx(by_chance, rel=0.1)
    tta(Workspace.open(trained), ["runs/a"], "flip")


def test_a_run_continues_by_its_own_config_after_config_json_has_another_metric(
    trained: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(trained, tmp_path / "space"))
    config = json.loads((root / "config.json").read_text())
    (root / "config.json").write_text(json.dumps({**config, "metric": "samples_f1"}))
    space = Workspace.find(
        root, ["metric=macro_f1"]
    )  # kit final trains by the run's config, which has this one
    assert train_run(space, "a").name == "a"
    assert submit_blend(Workspace.open(root), ["runs/a@flip"]).metric == "samples_f1"


def test_commands_say_the_rule_and_the_score_of_the_written_decision(
    trained: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    inside(trained)
    assert run(["blend", "runs/a@flip", "decision.min_labels=1"]) == 0
    said = capsys.readouterr().err
    assert (
        "decision: labels with probability 0.5 or more, at least 1 per row (set by decision in config.json or"
        in said
    )
    assert "out-of-fold score of the written decisions: macro_f1 0." in said
    assert "0 of 60 rows have no label" in said
    assert run(["tta", "--checkpoints", "runs/a", "--views", "flip"]) == 0
    said = capsys.readouterr().err
    assert "decision: labels with probability 0.5 or more, a row may have no label (" in said
    assert "training rows have no label; decision.min_labels changes this)" in said


def test_a_member_of_one_label_a_row_is_not_blended_with(trained: Path) -> None:
    file = trained / "runs" / "b" / "predictions" / "plain"
    oof = Predictions.read(file / "oof.parquet")
    one = Predictions(
        oof.ids,
        oof.folds,
        oof.classes,
        oof.probabilities / oof.probabilities.sum(axis=1, keepdims=True),
        oof.provenance,
    )
    other = file.with_name("one")
    one.write(other / "oof.parquet")
    Predictions.read(file.with_name("flip") / "test.parquet").write(other / "test.parquet")
    with pytest.raises(
        InvalidError, match="D42 b@one was trained for one label per row, but the training table has any"
    ):
        blend(Workspace.open(trained), ["runs/a@flip", "runs/b@one"])


# ---------------------------------------------------------------------------------------- refusals


def test_what_takes_one_label_a_row_is_refused_before_anything_is_read(
    tmp_path: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    inside(draw_several(tmp_path / "space"))
    for more in ((), ("--dry-run",)):
        status = run(["train", "--name", "r", "loss=label_smoothing", "splitter=stratified_kfold", *more])
        said = capsys.readouterr().err
        assert status == 2
        assert "which loss 'label_smoothing' and splitter 'stratified_kfold' do not support" in said
        assert "  loss: asymmetric, bce, pairwise_auc, soft_f1\n" in said
        assert "multilabel_stratified_kfold" in said
    assert not list((tmp_path / "space").glob("runs/r/*/*"))


@pytest.mark.parametrize(
    "override",
    ["loss=cutmix", "loss=arcface", "sampler=balanced", "splitter=repeated", "metric=own", "loss.base=bce"],
)
def test_each_kind_that_sees_labels_is_asked(override: str, tmp_path: Path) -> None:
    root = draw_several(tmp_path / "space")
    (root / "plugins" / "metric").mkdir(parents=True)
    own = "class Own(Metric):\n    def score(self, truth, probabilities):\n        return 0.0\n"
    (root / "plugins" / "metric" / "own.py").write_text(f"from kit.kinds import Metric\n\n\n{own}")
    given = ["loss=cutmix", override] if override == "loss.base=bce" else [override]
    if override == "metric=own":
        config = json.loads((root / "config.json").read_text())
        (root / "config.json").write_text(json.dumps({**config, "metric": "own"}))
    work = dry_run.with_progress(Workspace.find(root, given), "r")
    if override == "loss.base=bce":  # the wrapper takes what its base takes
        assert finish(work).guessing_loss == pytest.approx(np.log(2))
        return
    kind, name = override.split("=")
    with pytest.raises(ConfigError, match=f"which {kind} '{name}' does not support"):
        finish(work)


def test_a_blend_asks_its_ensembler_metric_and_format(trained: Path) -> None:
    space = Workspace.open(trained)
    (trained / "plugins" / "ensembler").mkdir(parents=True, exist_ok=True)
    own = "class Own(Ensembler):\n    def blend(self, members):\n        return members[0]\n"
    (trained / "plugins" / "ensembler" / "own.py").write_text(f"from kit.kinds import Ensembler\n\n\n{own}")
    with pytest.raises(ConfigError, match="which ensembler 'own' does not support"):
        blend(space, ["runs/a@flip"], "own")
    config = json.loads((trained / "config.json").read_text())
    label = Workspace.find(trained, ["format=label"])
    assert config.get("format") is None
    with pytest.raises(ConfigError, match="which format 'label' does not support"):
        blend(label, ["runs/a@flip"])


def test_what_takes_one_label_a_row_alone_is_not_offered_for_several_nor_the_other_way_round() -> None:
    assert plugins_taking("loss", "multi_hot") == "asymmetric, bce, pairwise_auc, soft_f1"
    assert "labels" not in plugins_taking("format", "class_index")
    for kind in ("splitter", "sampler", "loss", "metric", "ensembler", "format"):
        names = locations(kind)
        for labels in ("class_index", "multi_hot"):
            fit = [name for name in names if KINDS[kind].open(name).takes_labels(labels)]
            assert plugins_taking(kind, labels) == ", ".join(fit)
            check_takes([KINDS[kind].open(name) for name in fit], labels)


def test_a_test_row_without_an_image_gets_each_label_s_share(trained: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(trained, tmp_path / "space"))
    name = sorted(root.glob("data/images/*.png"))[-1]
    name.write_bytes(b"")
    space = Workspace.find(root, ["data.on_unreadable_test=class_prior"])
    with pytest.warns(KitWarning, match="1 of 12 test images are unusable"):
        tta(space, ["runs/a"], "plain")
    predictions = Predictions.read(root / "runs" / "a" / "predictions" / "plain" / "test.parquet").mean()
    table = train_table(root, space.competition.data)
    np.testing.assert_allclose(
        predictions.align([name.stem], allow_extra=True)[0], table.counts() / 60, rtol=1e-6
    )


def test_a_soup_and_a_foreign_submission_know_of_several_labels(trained: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(trained, tmp_path / "space"))
    soup = make_soup(root, ["runs/a", "runs/b"], "s")
    assert Predictions.read(soup.run.predictions("plain") / "oof.parquet").multi_label
    lines = (root / "data" / "sample_submission.csv").read_text().splitlines()
    for place, cell in enumerate(("cross", "blobb", "ring ring"), start=1):
        lines[place] = f"{lines[place].split(',')[0]},{cell}"
    (root / "mine.csv").write_text("\n".join(lines) + "\n")
    submission_check = check_submission(Workspace.open(root), root / "mine.csv")
    assert [(fault.line, fault.detail) for fault in submission_check.faults] == [
        (3, "'blobb' is not a class; did you mean 'blob'?"),
        (4, "'ring' is there twice"),
    ]


def test_a_stage_is_asked_for_its_labels_too(tmp_path: Path) -> None:
    root = draw_several(tmp_path / "space")
    given = ['stages=[{"epochs":1},{"loss":"focal","sampler":"balanced"}]']
    with pytest.raises(ConfigError, match="which loss 'focal' and sampler 'balanced' do not support"):
        dry_run(Workspace.find(root, given), "r")


def test_the_same_command_again_continues_and_other_labels_are_refused(trained: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(trained, tmp_path / "space"))
    train(root, name="a")  # finished: nothing to do
    shutil.rmtree(root / "runs" / "a" / "fold-1")
    (root / "runs" / "a" / "predictions" / "plain" / "oof.parquet").unlink()
    table = root / "data" / "train.csv"
    text = table.read_text()
    row = next(line for line in text.splitlines() if line.endswith(",blob"))
    table.write_text(text.replace(row, f"{row} ring"))
    with pytest.raises(DataError, match="D60"):
        train(root, name="a")
    table.write_text(text)
    before = Predictions.read(trained / "runs" / "a" / "predictions" / "plain" / "oof.parquet")
    train(root, name="a")
    again = Predictions.read(root / "runs" / "a" / "predictions" / "plain" / "oof.parquet")
    np.testing.assert_array_equal(again.align(before.ids), before.probabilities)


def test_labels_are_part_of_what_a_run_is_made_from(trained: Path) -> None:
    table = train_table(trained, Workspace.open(trained).competition.data)
    assert table.labels is not None
    other = table.labels.copy()
    other[7, 1] ^= 1
    folds = Run(trained / "runs" / "a").folds()
    one, two = (provenance(each, folds, "", [])["rows"] for each in (table, replace(table, labels=other)))
    assert one != two
    assert one == provenance(table.take(np.arange(60)), folds, "", [])["rows"]


@pytest.mark.parametrize(("sample", "separator"), [("ant", ","), ("ant cat", " "), ("ant,cat", ",")])
def test_the_submission_separates_as_the_sample_does_or_else_as_the_training_table(
    sample: str, separator: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"data": {"label_separator": ","}}')
    frame = pd.DataFrame({"id": ["x", "y"], "labels": ["bee", sample]}, dtype=str)
    chosen = choose_format(Workspace.open(tmp_path), frame, ("ant", "bee", "cat"), labels="multi_hot")
    shares = np.array([[0.9, 0.1, 0.8], [0.1, 0.9, 0.1]], np.float32)
    predictions = Predictions(
        np.array(["x", "y"]), np.full(2, -1), ("ant", "bee", "cat"), shares, target=MULTI_HOT
    )
    assert chosen.write(predictions, frame)["labels"].tolist() == [f"ant{separator}cat", "bee"]


def test_a_policy_of_views_learns_from_several_labels_too(trained: Path) -> None:
    (policy,) = choose_views(trained, ["runs/a"], "flip", "simplex")
    predictions = Predictions.read(policy.folder / "oof.parquet")
    assert predictions.probabilities.sum(axis=1).max() > 1.001
    assert set(policy.others) == {"plain", "flip"}
    with pytest.raises(ConfigError, match="C17"):
        choose_views(trained, ["runs/a"], "flip", "stacking")
