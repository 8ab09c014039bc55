"""A competition of clips with several frames: each stage from training to the bundle works on clips."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from kit.config.workspace import Workspace
from kit.data.folds import Folds
from kit.data.predictions import Predictions
from kit.errors import ConfigError, DataError, InvalidError, KitWarning
from kit.runs.diff import compare_runs
from kit.runs.run import Run
from kit.stages.blending.blend import Submitted, blend
from kit.stages.bundles.packing import bundle
from kit.stages.bundles.predicting import predict_bundle
from kit.stages.bundles.prediction import PredictionInput
from kit.stages.checks.check import run_checks
from kit.stages.leaderboard.noise import noise
from kit.stages.prediction.tta import tta
from kit.stages.pseudo_labelling.pseudo import PseudoRequest, pseudo
from kit.stages.pseudo_labelling.rule import Rule
from kit.stages.reporting.facts import DataSection, Missing
from kit.stages.reporting.gathering import gather_facts
from kit.stages.reporting.row_facts import MemberEvaluation
from kit.stages.sharing.foreign import import_predictions
from kit.stages.submission.board import Board
from kit.stages.submission.validation import check_submission
from kit.stages.training.train import train
from tests.drawn_clips import TEST_CLIPS, TRAIN_CLIPS, draw_clips

CLASSES = ["blob", "cross", "ring"]


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trained runs with predictions of frames; tests write submissions and nothing else."""
    root = draw_clips(tmp_path_factory.mktemp("clips") / "space", epochs=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        for seed, name in enumerate("ab"):
            run = train(root, [f"seed={seed}"], name=name)
            tta(root, [run.folder], views="plain")
    return root


def clips(space: Path, run: str, split: str = "oof", how: str = "mean") -> pd.DataFrame:
    """What pandas makes of the frames' predictions: a row a clip and fold, rows of sum 1."""
    predictions = Predictions.read(space / "runs" / run / "predictions" / "plain" / f"{split}.parquet")
    rows = pd.DataFrame(predictions.probabilities.astype(float), columns=CLASSES)
    rows = rows.assign(clip=[name.split("_")[0] for name in predictions.ids.tolist()], fold=predictions.folds)
    joined = rows.groupby(["clip", "fold"])[CLASSES].agg(how)
    return joined.div(joined.sum(axis=1), axis=0).reset_index()


def labels(space: Path) -> pd.Series:
    return pd.read_csv(space / "data/train.csv").groupby("clip")["label"].first()


def macro_f1(space: Path, joined: pd.DataFrame) -> float:
    truth = labels(space)[joined["clip"]].tolist()
    return float(f1_score(truth, joined[CLASSES].idxmax(axis=1), average="macro"))


def test_files_hold_frames_and_scores_are_of_clips(space: Path) -> None:
    oof = Predictions.read(space / "runs/a/predictions/plain/oof.parquet")
    assert len(oof) == len(pd.read_csv(space / "data/train.csv"))
    score = oof.provenance.require_scores()["macro_f1"]
    assert score == pytest.approx(macro_f1(space, clips(space, "a")))
    logged = json.loads((space / "runs/a/fold-0/log.jsonl").read_text().splitlines()[-1])
    first = clips(space, "a").query("fold == 0")
    assert logged["macro_f1"] == pytest.approx(macro_f1(space, first), abs=1e-6)


def test_no_clip_is_in_two_folds(space: Path) -> None:
    folds = Folds.read(space / "runs/a/folds.csv")
    frame = pd.DataFrame({"clip": [name.split("_")[0] for name in folds.ids], "fold": folds.numbers[:, 0]})
    assert (frame.groupby("clip")["fold"].nunique() == 1).all()


@pytest.mark.parametrize("how", ["mean", "max", "median"])
def test_a_blend_scores_and_submits_clips_without_predicting_again(space: Path, how: str) -> None:
    submission = blend(Workspace.open(space, [f"aggregator={how}"]), ["runs/a", "runs/b"], name=how)
    assert isinstance(submission, Submitted)
    assert submission.rows == TRAIN_CLIPS
    one, two = clips(space, "a", how=how), clips(space, "b", how=how)
    mean = one.assign(**{name: (one[name] + two[name]) / 2 for name in CLASSES})
    assert submission.cv == pytest.approx(macro_f1(space, mean))
    file = pd.read_csv(submission.path)
    sample = pd.read_csv(space / "data/sample_submission.csv")
    assert file["clip"].tolist() == sample["clip"].tolist()
    one, two = (clips(space, run, "test", how).set_index("clip")[CLASSES] for run in "ab")
    wanted = (one + two).groupby("clip").sum().idxmax(axis=1)
    assert file["label"].tolist() == wanted[file["clip"]].tolist()
    assert check_submission(Workspace.open(space), submission.path).faults == ()


def test_a_fitted_aggregator_is_recorded_with_its_option(space: Path) -> None:
    submission = blend(Workspace.open(space, ["aggregator=top_k_mean"]), ["runs/a", "runs/b"], name="fitted")
    assert isinstance(submission, Submitted)
    record = json.loads(submission.record.read_text())
    assert [one["aggregator"]["name"] for one in record["members"]] == ["top_k_mean"] * 2
    assert all(1 <= one["aggregator"]["k"] <= 3 for one in record["members"])
    entry = Board.read(space / "submissions").entries[-1]
    assert entry.rows == TRAIN_CLIPS
    assert "top_k_mean" in entry.notes
    assert noise(Workspace.open(space), entry).rows == TRAIN_CLIPS


def test_predictions_of_clips_are_imported_as_a_member(space: Path) -> None:
    for split in ("oof", "test"):
        rows = clips(space, "a", split).rename(columns={"clip": "id"})
        rows[["id", "fold", *CLASSES]].to_csv(space / f"foreign_{split}.csv", index=False)
    imported_run = import_predictions(space, space / "foreign_test.csv", "foreign", space / "foreign_oof.csv")
    assert imported_run.scores["macro_f1"] == pytest.approx(macro_f1(space, clips(space, "a")))
    assert imported_run.oof_rows == len(pd.read_csv(space / "data/train.csv"))
    assert "a" in imported_run.same_folds
    assert any("each of the" in note for note in imported_run.notes)
    submission, own = (blend(space, [f"runs/{run}"], name=run) for run in ("foreign", "a"))
    assert isinstance(submission, Submitted)
    assert isinstance(own, Submitted)
    assert submission.cv == pytest.approx(own.cv)
    assert submission.path.read_text() == own.path.read_text()
    by_file = Folds.read(space / "runs/a/folds.csv")
    names, first = np.unique([name.split("_")[0] for name in by_file.ids], return_index=True)
    Folds(names, by_file.numbers[first]).write(space / "foreign_folds.csv")
    oof = clips(space, "a").rename(columns={"clip": "id"}).drop(columns="fold")
    oof.to_csv(space / "foreign_oof.csv", index=False)
    again = import_predictions(
        space, space / "foreign_test.csv", "by_file", space / "foreign_oof.csv", space / "foreign_folds.csv"
    )
    assert again.scores == pytest.approx(imported_run.scores)


def test_the_check_counts_clips_in_the_noise_of_the_score(space: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        report = run_checks(space)
    (of_noise,) = (finding for finding in report.findings if finding.code == "K18")
    assert f"on {TEST_CLIPS} test rows" in of_noise.summary
    assert not [finding for finding in report.findings if finding.code in ("K42", "K43")]


def test_the_report_evaluates_clips(space: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        facts = gather_facts(space, check=False)
    assert isinstance(facts.evaluation, MemberEvaluation)
    assert facts.evaluation.rows == TRAIN_CLIPS
    data, frames = facts.data, pd.read_csv(space / "data/train.csv")
    assert isinstance(data, DataSection)
    assert (data.train, data.train_answers, data.test_answers) == (len(frames), TRAIN_CLIPS, TEST_CLIPS)
    assert data.counts == labels(space).value_counts().to_dict()
    assert not isinstance(facts.mistakes, Missing)
    assert {one.id for one in facts.mistakes} <= set(labels(space).index)


def test_runs_are_compared_on_clips(space: Path) -> None:
    comparison = compare_runs(Workspace.open(space), Run(space / "runs/a"), Run(space / "runs/b")).compared
    assert comparison is not None
    assert comparison.rows == TRAIN_CLIPS
    assert comparison.one == pytest.approx(macro_f1(space, clips(space, "a")))


def test_a_pseudo_label_of_a_frame_is_that_of_its_clip(space: Path) -> None:
    request = PseudoRequest(rule=Rule(threshold=0.0), labels="soft")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        pseudo(space, ["runs/a"], "soft", request)
    predictions = Predictions.read(space / "pseudo_labels/soft/test.parquet")
    joined = clips(space, "a", "test").set_index(["clip", "fold"])[CLASSES]
    for name, fold, row in zip(
        predictions.ids.tolist(), predictions.folds.tolist(), predictions.probabilities, strict=True
    ):
        assert row == pytest.approx(joined.loc[(name.split("_")[0], fold)].to_numpy(), abs=1e-5)


def test_pseudo_labels_refuse_an_aggregator_that_would_learn_held_out_labels(space: Path) -> None:
    with warnings.catch_warnings(), pytest.raises(DataError, match="'top_k_mean' would be fitted") as caught:
        warnings.simplefilter("ignore", KitWarning)
        pseudo(Workspace.open(space, ["aggregator=top_k_mean"]), ["runs/a"], "fitted")
    assert caught.value.code == "D61"


def test_a_bundle_predicts_clips_as_the_blend_did(space: Path, tmp_path: Path) -> None:
    submission = blend(Workspace.open(space, ["aggregator=top_k_mean"]), ["runs/a"], name="bundled")
    assert isinstance(submission, Submitted)
    packed = bundle(space, [str(submission.record)], tmp_path / "bundle")
    data = space / "data"
    given = PredictionInput(data / "images", data / "sample_submission.csv", data / "test.csv")
    out = predict_bundle(packed.folder, given, tmp_path / "out.csv", tmp_path / "work")
    assert out.read_text() == submission.path.read_text()


def test_a_frame_that_cannot_be_read_takes_no_part_in_its_clip(tmp_path: Path) -> None:
    root = draw_clips(tmp_path / "space", epochs=1)
    test = pd.read_csv(root / "data/test.csv")
    several = test.groupby("clip")["frame"].agg(list)
    first = next(frames for frames in several if len(frames) > 1)
    alone = next(frames for frames in several if len(frames) == 1)
    for name in (first[0], alone[0]):
        (root / f"data/images/{name}.png").write_bytes(b"")
    space = Workspace.open(root, ["data.on_unreadable_test=class_prior"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        run = train(root, [], name="a")
    with pytest.warns(KitWarning, match="predicted as the class prior"):
        tta(space, [run.folder], views="plain")
    predictions = Predictions.read(root / "runs/a/predictions/plain/test.parquet")
    assert first[0] not in predictions.ids
    assert alone[0] in predictions.ids
    prior = np.full(3, 1 / 3)
    assert predictions.mean().align([alone[0]], allow_extra=True)[0] == pytest.approx(prior, abs=0.02)
    assert isinstance(blend(root, ["runs/a"]), Submitted)


def test_a_clip_that_the_test_table_lacks_is_named_before_training(tmp_path: Path) -> None:
    root = draw_clips(tmp_path / "space", epochs=1)
    file = root / "data/sample_submission.csv"
    file.write_text(file.read_text() + "c99,blob\n")
    with pytest.warns(
        KitWarning, match=r"(?s)W41 .* 0 of 7 answers of .*'c99' has no image in the test table"
    ):
        train(root, ["epochs=1"], name="a")


def test_a_column_that_has_the_samples_ids_is_proposed(tmp_path: Path) -> None:
    root = draw_clips(tmp_path / "space", epochs=1)
    config = json.loads((root / "config.json").read_text())
    del config["data"]["answer"]
    (root / "config.json").write_text(json.dumps(config))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        report = run_checks(root)
    (finding,) = (one for one in report.findings if one.code == "K42")
    assert "data.answer=clip" in str(finding)


def test_folds_that_tear_a_clip_are_refused(space: Path, tmp_path: Path) -> None:
    text = (space / "runs/b/folds.csv").read_text()
    lines = text.splitlines()
    row = next(n for n, line in enumerate(lines) if "_1," in line)
    name, fold = lines[row].split(",")
    lines[row] = f"{name},{1 - int(fold)}"
    (space / "runs/b/folds.csv").write_text("\n".join(lines) + "\n")
    try:
        with pytest.raises(InvalidError) as caught:
            blend(space, ["runs/b"])
    finally:
        (space / "runs/b/folds.csv").write_text(text)
    assert caught.value.code == "D43"


def test_train_refuses_another_aggregator_than_that_of_the_config(space: Path) -> None:
    with pytest.raises(
        ConfigError, match="kit train got aggregator=max, but config.json has aggregator=mean"
    ):
        train(space, ["aggregator=max"], name="c")
