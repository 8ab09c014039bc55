"""A run's folder: copied, half deleted or damaged, it is refused or repaired, and never taken for another one."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.errors import CheckpointError, ConfigError, DataError, KitError, RunError
from kit.experiment.dry_run import dry_run
from kit.runs.run import find_run, is_finished
from kit.stages.training.train import train


def oof(root: Path, run: str = "a") -> Predictions:
    return Predictions.read(root / "runs" / run / "predictions/plain/oof.parquet")


def test_folds_without_a_manifest_are_not_taken_for_the_experiment_that_is_asked_for(space: Path) -> None:
    (space / "runs/a/manifest.json").unlink()
    with pytest.raises(CheckpointError, match=r"D51 runs/a has folds but no manifest.json"):
        train(space, ["loss=cutmix"], name="a")


@pytest.mark.parametrize("name", ["manifest.json", "config.json"])
def test_a_damaged_description_of_a_run_is_named(space: Path, name: str) -> None:
    (space / "runs/a" / name).write_text('{"asked"')
    (space / "runs/a/fold-1/oof.parquet").unlink()
    with pytest.raises(CheckpointError, match=rf"D51 .*{name} is missing or damaged"):
        train(space, name="a")


@pytest.mark.parametrize(
    "gone", ["folds.csv", "predictions", "fold-1", "fold-1/oof.parquet", "fold-1/log.jsonl"]
)
def test_what_is_gone_of_a_run_is_made_again_as_it_was(space: Path, gone: str) -> None:
    before = oof(space)
    path = space / "runs/a" / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    train(space, name="a")
    assert oof(space).ids.tolist() == before.ids.tolist()
    assert np.array_equal(oof(space).probabilities, before.probabilities)


def test_a_damaged_whole_of_the_folds_is_put_together_again(space: Path) -> None:
    before = oof(space)
    (space / "runs/a/predictions/plain/oof.parquet").write_bytes(b"damaged")
    assert not is_finished(find_run(Workspace.open(space), "a"))
    train(space, name="a")
    assert np.array_equal(oof(space).probabilities, before.probabilities)


def test_a_fold_that_was_not_put_together_with_the_others_is(
    space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(space, name="b", folds=[1])
    with monkeypatch.context() as context:
        context.setattr(
            sys.modules["kit.stages.training.train"], "assemble", lambda setting: None
        )  # as if killed just before
        train(space, name="b", folds=[0])
    assert set(oof(space, "b").folds.tolist()) == {1}
    assert not is_finished(find_run(Workspace.open(space), "b"))
    train(space, name="b")
    assert set(oof(space, "b").folds.tolist()) == {0, 1}


def test_a_run_that_never_trained_may_be_asked_for_with_other_options(competition: Path) -> None:
    with pytest.raises(KitError, match="D51 no weights file"):
        train(competition, ["backbone=timm", "backbone.weights=nothing.pt"], name="r")
    train(competition, name="r")
    assert is_finished(find_run(Workspace.open(competition), "r"))
    with pytest.raises(ConfigError, match="C11"):
        train(competition, ["backbone=timm"], name="r")


def test_a_dry_run_refuses_what_training_would(space: Path) -> None:
    with pytest.raises(ConfigError, match="C11"):
        dry_run(Workspace.open(space, ["epochs=9"]), "a")


@pytest.mark.parametrize("name", ["a@d4", "x" * 101, ".hidden", "a/b", ".."])
def test_a_name_that_no_folder_or_member_can_have_is_refused(competition: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="C13"):
        find_run(Workspace.open(competition), name)


def test_resuming_with_images_read_in_another_way_is_refused(space: Path) -> None:
    (space / "runs/a/fold-1/oof.parquet").unlink()
    with pytest.raises(DataError, match=r"D60 [\s\S]*images: changed"):
        train(space, ["data.alpha_fill=black"], name="a")


def test_one_class_is_nothing_to_learn(competition: Path) -> None:
    file = competition / "data/train.csv"
    file.write_text(file.read_text().replace("cross", "blob").replace("ring", "blob"))
    with pytest.raises(DataError, match="D39 all rows have the same class, blob"):
        train(competition, name="r")


def test_a_fold_without_a_usable_image_is_refused_before_training(competition: Path) -> None:
    run = train(competition, name="r", folds=[0])
    held = run.folds().ids[run.folds().oof_mask(0)]
    for number, name in enumerate(held.tolist()):
        (competition / f"data/images/{name}.png").write_bytes(b"no image" + bytes([number]))
    shutil.rmtree(run.folder)
    with (
        pytest.warns(UserWarning, match="30 of 60 train images"),
        pytest.raises(DataError, match="D38 fold 0 has 30 usable images to train on and 0 to predict"),
    ):
        train(competition, ["data.on_unreadable_train=skip"], name="r")


def test_a_metric_that_a_folds_rows_do_not_define_does_not_stop_it(tmp_path: Path) -> None:
    from tests.drawing import draw_competition

    root = draw_competition(tmp_path / "space", epochs=1, data={"group": "kind"}, metric="auc")
    lines = (root / "data/train.csv").read_text().splitlines()
    rows = [f"{line},{line.split(',')[1] == 'blob'}" for line in lines[1:]]
    (root / "data/train.csv").write_text("\n".join([lines[0] + ",kind", *rows]) + "\n")
    with (
        pytest.warns(UserWarning, match="W0"),
        pytest.warns(UserWarning, match="W90 fold . will have no auc"),
        pytest.warns(UserWarning, match="W90 fold . has no auc"),
    ):
        train(root, ["splitter=group_kfold", "splitter.folds=2"], name="r")
    about = oof(root, "r").provenance
    assert sorted("auc" in scores for scores in about.require_fold_scores().values()) == [False, True]
    assert "auc" in about.require_scores()


def test_batch_norm_that_is_left_with_one_value_says_what_to_do(competition: Path) -> None:
    overrides = ["batch_size=1", "image_size=8", "backbone.stages=5"]
    with pytest.raises(RunError, match=r"R04 batch norm cannot train on 1 image[\s\S]*a larger batch_size"):
        train(competition, overrides, name="r")
    with pytest.raises(RunError, match="R04"):
        dry_run(Workspace.open(competition, overrides), "r")


def test_a_damaged_log_does_not_stop_a_run(space: Path) -> None:
    (space / "runs/a/fold-1/oof.parquet").unlink()
    (space / "runs/a/fold-1/log.jsonl").write_text('{"epoch": 1}\n{"epo')
    train(space, name="a")
    assert is_finished(find_run(Workspace.open(space), "a"))


def test_empty_images_are_not_taken_for_copies_of_each_other(competition: Path) -> None:
    for number in range(3):
        (competition / f"data/images/{number:03d}.png").write_bytes(b"")
    with pytest.raises(DataError, match="3 of 60 train images"):  # and no warning of W01 or W02
        train(competition, name="r")
