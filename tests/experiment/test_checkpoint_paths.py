"""Which checkpoints a path means: the ones that ended the folds, or an earlier one under a name that says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kit.config.workspace import Workspace
from kit.errors import CheckpointError, ConfigError, KitWarning
from kit.experiment.loading import find_targets
from kit.model import checkpoints
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train


def checkpoint_groups(root: Path, *paths: str) -> list[tuple[str, str, dict[int, str]]]:
    """Run, suffix, and the checkpoint a fold."""
    return [
        (target.run.name, target.epoch_suffix, {fold: path.name for fold, path in target.folds.items()})
        for target in find_targets(Workspace.open(root), paths)
    ]


def test_a_run_a_fold_and_a_checkpoint_are_targets(space: Path) -> None:
    assert checkpoint_groups(space, "runs/a") == [("a", "", {0: "0002", 1: "0002"})]
    assert checkpoint_groups(space, "runs/a/fold-1") == [("a", "", {1: "0002"})]
    assert checkpoint_groups(space, "runs/a/fold-1/0002", "runs/a/fold-0") == [
        ("a", "", {1: "0002", 0: "0002"})
    ]
    assert checkpoint_groups(space, "runs/a/fold-1/0001") == [("a", "-0001", {1: "0001"})]


def test_the_newest_checkpoint_of_an_unfinished_fold_is_marked(space: Path) -> None:
    (space / "runs/a/fold-1/oof.parquet").unlink()
    assert checkpoint_groups(space, "runs/a/fold-1/0002") == [("a", "-0002", {1: "0002"})]
    with pytest.raises(ConfigError, match="C15"):
        checkpoint_groups(space, "runs/a/fold-1")


def test_a_run_with_an_unfinished_fold_says_so(space: Path) -> None:
    train(space, name="b", folds=[1])
    with pytest.warns(KitWarning, match="W13 b is not finished, so kit predicts without fold 0"):
        assert checkpoint_groups(space, "runs/b") == [("b", "", {1: "0002"})]


@pytest.mark.parametrize("name", ["best", "0007", "2", "\u00b2"])
def test_a_renamed_last_checkpoint_is_not_replaced_by_the_one_before(space: Path, name: str) -> None:
    fold = space / "runs/a/fold-0"
    (fold / "0002").rename(fold / name)
    with pytest.raises(CheckpointError, match=r"D51 .*0002 has no valid manifest[\s\S]*0001"):
        tta(space, ["runs/a"], "hflip")


def test_a_checkpoint_under_another_number_is_passed_over(space: Path) -> None:
    fold = space / "runs/a/fold-0"
    (fold / "0002").rename(fold / "0007")
    with pytest.raises(CheckpointError, match="D51 .*0007 is checkpoint 2 with a different name"):
        tta(space, ["runs/a/fold-0/0007"])
    with pytest.warns(KitWarning, match="skipped"):
        newest = checkpoints.latest(fold)
    assert newest is not None
    assert newest.number == 1


def test_folders_with_other_names_are_no_checkpoints(space: Path) -> None:
    fold = space / "runs/a/fold-0"
    for name in ("2", "00002", "\u00b2", "best"):
        shutil.copytree(fold / "0002", fold / name)
    assert checkpoints.checkpoint_numbers(fold) == [1, 2]


def test_a_renamed_run_predicts_as_itself(space: Path) -> None:
    tta(space, ["runs/a"], "hflip")
    (space / "runs/a").rename(space / "runs/z")
    (tta_result,) = tta(space, ["runs/z"], "hflip")
    assert tta_result.member == "runs/z@hflip"
    assert tta_result.computed
