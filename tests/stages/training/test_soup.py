"""Soups: means of weights by hand, batch norm as torch takes it, a choice that never sees what it predicts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim.swa_utils import update_bn

from kit.commands._menu import run as command
from kit.commands.soup import _say
from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.data.folds import Folds
from kit.data.predictions import Predictions
from kit.errors import CheckpointError, ConfigError, InvalidError
from kit.experiment.fold_training import train_stages
from kit.experiment.prediction_file import restore
from kit.experiment.run_context import prepare_run
from kit.model import checkpoints
from kit.runs.run import Run, find_run
from kit.stages.prediction.tta import tta
from kit.stages.training.soup import SoupResult, _SoupContext, greedy_soup, make_soup
from kit.stages.training.train import train
from tests.blends import submit_blend


@pytest.fixture(scope="module")
def kept(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace with the runs a, b (another learning rate) and c (another seed)."""
    root = Path(shutil.copytree(trained_once, tmp_path_factory.mktemp("soup") / "space"))
    train(root, ["optimizer.lr=0.005"], name="b")
    train(root, ["seed=1"], name="c")
    return root


@pytest.fixture
def pantry(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "space"))


def weights(root: Path, run: str, fold: int) -> dict[str, torch.Tensor]:
    checkpoint = checkpoints.latest(root / "runs" / run / f"fold-{fold}")
    assert checkpoint is not None
    return checkpoint.prediction_weights


def test_the_weights_are_the_mean_and_batch_norm_is_as_torch_takes_it_again(pantry: Path) -> None:
    soup = make_soup(pantry, ["runs/a", "runs/b", "runs/c"], "s")
    assert soup.ingredients == {0: ("a", "b", "c"), 1: ("a", "b", "c")}
    for fold in (0, 1):
        averages, parts = weights(pantry, "s", fold), [weights(pantry, run, fold) for run in "abc"]
        for key, value in averages.items():
            if "running" not in key and "num_batches" not in key:
                expected = sum(part[key].double() for part in parts) / 3
                torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-7, msg=key)
        space = Workspace.open(pantry)
        setting = finish(prepare_run(space, find_run(space, "a")))
        checkpoint = checkpoints.load(soup.run.fold(fold) / "0001")
        reference = restore(checkpoint, pantry, torch.device("cpu")).network
        norm = next(module for module in reference.modules() if isinstance(module, torch.nn.BatchNorm2d))
        assert norm.running_mean is not None
        torch.nn.init.constant_(norm.running_mean, 7.0)
        update_bn((batch.images for batch in train_stages(setting, fold)[0].batches.epoch(0)), reference)
        for key, value in reference.state_dict().items():
            torch.testing.assert_close(value, averages[key], rtol=1e-5, atol=1e-6, msg=key)


def test_statistics_of_parts_that_all_runs_froze_stay_in_a_soup(trained_once: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(trained_once, tmp_path / "space"))
    frozen = ['stages=[{"freeze":["backbone"]}]', "init_from=runs/a"]
    train(root, frozen, name="d")
    train(root, [*frozen, "seed=1"], name="e")
    make_soup(root, ["runs/d", "runs/e"], "s")
    soup_weights, start = weights(root, "s", 0), weights(root, "d", 0)
    kept = [key for key in soup_weights if "running" in key]
    assert kept
    assert all(torch.equal(soup_weights[key], start[key]) for key in kept)


def test_the_soup_is_a_run_like_any_other_whose_rows_are_predicted_by_the_fold_that_held_them_out(
    pantry: Path,
) -> None:
    soup = make_soup(pantry, ["runs/a", "runs/b"], "s")
    folds = Folds.read(soup.run.folder / "folds.csv")
    number = dict(zip(folds.ids.tolist(), folds.numbers[:, 0].tolist(), strict=True))
    predictions = Predictions.read(soup.run.predictions("plain") / "oof.parquet")
    assert sorted(predictions.ids.tolist()) == sorted(number)
    assert all(
        number[row] == fold
        for row, fold in zip(predictions.ids.tolist(), predictions.folds.tolist(), strict=True)
    )
    assert predictions.provenance.scores == soup.scores
    predicted, _ = tta(pantry, [soup.run.folder, pantry / "runs" / "c"], "hflip")
    submitted = submit_blend(Workspace.open(pantry), ["runs/s@hflip", "runs/c@hflip"])
    assert predicted.member == "runs/s@hflip"
    assert submitted.path.is_file()
    assert checkpoints.load(soup.run.fold(0) / "0001").provenance.soup == ("a", "b")


def test_started_again_it_is_there_and_as_another_soup_it_is_refused(pantry: Path) -> None:
    soup = make_soup(pantry, ["runs/a", "runs/b"], "s")
    before = {file: file.stat().st_mtime_ns for file in soup.run.folder.rglob("*.safetensors")}
    assert make_soup(pantry, ["runs/a", "runs/b"], "s").scores == soup.scores
    assert {file: file.stat().st_mtime_ns for file in soup.run.folder.rglob("*.safetensors")} == before
    with pytest.raises(ConfigError, match="C11 runs/s does not match this soup"):
        make_soup(pantry, ["runs/a", "runs/c"], "s")
    with pytest.raises(ConfigError, match="C11 runs/s was started with a different config"):
        train(pantry, name="s")


# --------------------------------------------------------------------------------------- the greedy choice


class Scored(_SoupContext):
    """Soups whose scores are written down, by the runs they are made of."""

    table: dict[str, float]

    def __init__(self, table: dict[str, float], names: str) -> None:
        object.__setattr__(self, "table", table)
        self.__dict__["names"] = list(names)

    def score(self, runs: Sequence[str], without: int) -> float:
        return self.table["".join(sorted(runs))]


def test_runs_are_tried_from_the_best_down_and_kept_where_they_do_not_harm() -> None:
    table = {"a": 0.6, "b": 0.8, "c": 0.7, "d": 0.1, "bc": 0.75, "ab": 0.82, "abd": 0.82}
    assert greedy_soup(Scored(table, "abcd"), without=0) == ("b", "a", "d")


def test_the_choice_for_a_fold_looks_at_no_row_of_it(pantry: Path) -> None:
    soup = make_soup(pantry, ["runs/a", "runs/b", "runs/c"], "s", greedy=True)
    space = Workspace.open(pantry)
    setting = finish(prepare_run(space, find_run(space, "a")))
    from kit.experiment.loading import find_targets
    from kit.stages.training.soup import _read_folds

    pots = _read_folds(find_targets(space, ["runs/a", "runs/b", "runs/c"]), greedy=True)
    labels = setting.loaded.table.targets()
    for fold in (0, 1):
        wrong = np.where(setting.folds.oof_mask(fold), (labels + 1) % 3, labels)
        kitchen = _SoupContext(setting, pots)
        object.__setattr__(setting.loaded.table, "labels", wrong)
        assert greedy_soup(kitchen, fold) == soup.ingredients[fold]
        assert {key[0] for key in kitchen.scores} == {1 - fold}
        object.__setattr__(setting.loaded.table, "labels", labels)


# ---------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("overrides", "error", "words"),
    [
        (["split_seed=5"], InvalidError, "D43 a and d have different folds"),
        (["backbone.width=4"], ConfigError, r"(?s)C16 a and d cannot be averaged.*backbone"),
        (["image_size=24"], ConfigError, r"(?s)C16 a and d cannot be averaged.*image_size"),
        (["loss=arcface"], ConfigError, r"(?s)C16 a and d cannot be averaged.*head"),
    ],
)
def test_runs_that_do_not_mix_are_refused(
    pantry: Path, overrides: list[str], error: type[Exception], words: str
) -> None:
    train(pantry, ["epochs=1", *overrides], name="d")
    with pytest.raises(error, match=words):
        make_soup(pantry, ["runs/a", "runs/d"], "s")
    assert not list((pantry / "runs" / "s").glob("fold-*/0001"))


def test_one_run_is_no_soup_and_one_fold_no_ground_to_choose_on(pantry: Path) -> None:
    with pytest.raises(ConfigError, match="C15 a soup needs at least two runs"):
        make_soup(pantry, ["runs/a"], "s")
    with pytest.raises(
        ConfigError,
        match="C16 the runs share only one fold, so a greedy soup would choose and score on the same rows",
    ):
        make_soup(pantry, ["runs/a/fold-0", "runs/b/fold-0"], "s", greedy=True)


def test_weights_of_other_shapes_are_refused(pantry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = checkpoints.load

    def other(path: Path) -> checkpoints.Checkpoint:
        checkpoint = load(path)
        if "/b/" in str(path):
            checkpoint.prediction_weights["head.1.bias"] = torch.zeros(4)
        return checkpoint

    monkeypatch.setattr(checkpoints, "load", other)
    with pytest.raises(CheckpointError, match=r"(?s)D53 a and b differ in 1 weights.*head.1.bias"):
        make_soup(pantry, ["runs/a", "runs/b"], "s")


def test_the_command_shows_the_scores_and_says_where_the_soup_is_worse(
    pantry: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    inside(pantry)
    assert command(["soup", "runs/a", "runs/c", "--name", "s"]) == 0
    said = capsys.readouterr()
    assert said.out == "runs/s\n"
    assert [line.split(":")[0].strip() for line in said.err.splitlines()] == ["a", "c", "s", "next"]


def test_a_soup_that_is_worse_than_its_best_run_is_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = {"a": {"macro_f1": 0.8}, "b": {"macro_f1": 0.7}}
    for worse in (False, True):
        _say(SoupResult(Run(tmp_path / "s"), {0: ("a", "b")}, {"macro_f1": 0.75}, scores, is_worse=worse))
        assert ("averaging rarely works" in capsys.readouterr().err) == worse


@pytest.mark.parametrize(("metric", "sign"), [("macro_f1", 1), ("log_loss", -1)])
def test_whether_it_is_worse_goes_by_the_metric_and_its_direction(
    pantry: Path, metric: str, sign: int
) -> None:
    soup = make_soup(Workspace.open(pantry, [f"metric={metric}"]), ["runs/a", "runs/b"], "s")
    best = max(sign * scores[metric] for scores in soup.members.values())
    assert soup.is_worse == (sign * soup.scores[metric] < best)
