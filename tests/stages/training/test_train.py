"""train: out-of-fold predictions that are, exact resume, and refusals before anything is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.data.folds import Folds
from kit.data.predictions import Predictions
from kit.data.table import train_table
from kit.engine import step
from kit.engine.batches import LoaderProcesses
from kit.engine.learner import Learner
from kit.errors import BusyError, ConfigError, DataError, KitWarning, RunError
from kit.experiment.dry_run import dry_run
from kit.kinds import Metric
from kit.model import checkpoints
from kit.runs.run import default_name, find_run, is_finished
from kit.stages.training.train import train, train_run
from tests.drawing import draw_competition


def oof(root: Path, run: str) -> Predictions:
    return Predictions.read(root / "runs" / run / "predictions" / "plain" / "oof.parquet")


def weights(root: Path, run: str, fold: int) -> dict[str, torch.Tensor]:
    checkpoint = checkpoints.latest(root / "runs" / run / f"fold-{fold}")
    assert checkpoint is not None
    return {
        **checkpoint.weights,
        **{f"average {key}": value for key, value in checkpoint.prediction_weights.items()},
    }


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_every_row_is_predicted_once_by_the_fold_that_held_it_out(competition: Path) -> None:
    run = train(competition, name="r")
    predictions, folds = oof(competition, "r"), Folds.read(run.folder / "folds.csv")
    assert sorted(predictions.ids.tolist()) == sorted(f"{n:03d}" for n in range(60))
    number = dict(zip(folds.ids.tolist(), folds.numbers[:, 0].tolist(), strict=True))
    assert all(
        number[row] == fold
        for row, fold in zip(predictions.ids.tolist(), predictions.folds.tolist(), strict=True)
    )


def test_the_last_epochs_average_gives_the_predictions(competition: Path) -> None:
    from kit.experiment.prediction_file import prediction_batches, restore
    from kit.experiment.run_context import prepare_run

    run = train(competition, name="r")
    setting = finish(prepare_run(Workspace.open(competition), run))
    checkpoint = checkpoints.load(run.fold(0) / "0002")
    model = restore(checkpoint, competition, torch.device("cpu"))
    rows = setting.oof_rows(0)
    batch = next(iter(prediction_batches(setting.loaded, setting.experiment, rows[:8])))
    expected = model.probabilities(batch.images).numpy()
    saved = oof(competition, "r").align(setting.loaded.table.ids[rows[:8]].tolist(), allow_extra=True)
    np.testing.assert_allclose(saved, expected, atol=1e-6)
    assert checkpoint.average is not None


def test_scores_are_those_of_the_pooled_rows(competition: Path) -> None:
    train(competition, name="r")
    predictions, table = (
        oof(competition, "r"),
        train_table(competition, Workspace.open(competition).competition.data),
    )
    assert table.labels is not None
    assert predictions.provenance.scores is not None
    truth = table.labels[[table.ids.tolist().index(row) for row in predictions.ids.tolist()]]
    for name in ("macro_f1", "log_loss", "accuracy"):
        assert predictions.provenance.scores[name] == pytest.approx(
            Metric.open(name).score(truth, predictions.probabilities)
        )


def test_the_log_has_a_line_an_epoch_with_log_loss_for_any_loss(competition: Path) -> None:
    run = train(competition, ["loss=arcface"], name="r")
    lines = [json.loads(line) for line in (run.fold(1) / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert {
        "train_loss",
        "log_loss",
        "macro_f1",
        "accuracy",
        "lr",
        "images_per_second",
        "memory_mib",
        "step",
    } <= lines[0].keys()


def logged(root: Path, run: str, fold: int) -> list[dict[str, float]]:
    """A fold's log but for its speed and memory."""
    lines = (root / "runs" / run / f"fold-{fold}" / "log.jsonl").read_text().splitlines()
    measured = {"images_per_second", "seconds", "memory_mib"}
    return [{k: v for k, v in json.loads(line).items() if k not in measured} for line in lines]


class Killed(BaseException):
    """Stands for a kill: nothing in kit catches it."""


def kill_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Ends the process's training in the step that comes after so many."""
    plain, done = step._apply_gradients, [0]

    def descend(learner: Learner, clip: float | None, value: torch.Tensor) -> torch.Tensor:
        done[0] += 1
        if done[0] > steps:
            raise Killed
        return plain(learner, clip, value)

    monkeypatch.setattr(step, "_apply_gradients", descend)


@pytest.mark.parametrize("steps", [1, 6, 11])
@pytest.mark.parametrize(
    "overrides",
    [
        ["loss=cutmix"],
        ["ema_decay=0", "micro_batch_size=3", "workers=1"],
        ["save_every_steps=2", "loss=mixup", "swa_start=0.5"],
        ['stages=[{"epochs":1,"image_size":12,"freeze":["backbone"]},{}]', "swa_start=0", "optimizer=sgd"],
    ],
    ids=str,
)
def test_a_killed_run_started_again_ends_with_the_same_bits(
    competition: Path, monkeypatch: pytest.MonkeyPatch, steps: int, overrides: list[str]
) -> None:
    train(competition, overrides, name="undisturbed")
    with monkeypatch.context() as context:
        kill_after(context, steps)
        with pytest.raises(Killed):
            train(competition, overrides, name="killed")
    assert not is_finished(find_run(Workspace.open(competition), "killed"))
    train(competition, overrides, name="killed")
    for fold in (0, 1):
        assert same(weights(competition, "undisturbed", fold), weights(competition, "killed", fold))
        assert logged(competition, "undisturbed", fold) == logged(competition, "killed", fold)
    one, other = oof(competition, "undisturbed"), oof(competition, "killed")
    assert one.ids.tolist() == other.ids.tolist()
    assert np.array_equal(one.probabilities, other.probabilities)


def test_another_seed_gives_other_weights_and_the_same_folds(competition: Path) -> None:
    train(competition, name="a")
    train(competition, ["seed=1"], name="b")
    assert not same(weights(competition, "a", 0), weights(competition, "b", 0))
    assert (competition / "runs/a/folds.csv").read_bytes() == (competition / "runs/b/folds.csv").read_bytes()


def test_workers_change_nothing(competition: Path) -> None:
    train(competition, ["workers=0"], name="a", folds=[0])
    train(competition, ["workers=2"], name="b", folds=[0])
    assert same(weights(competition, "a", 0), weights(competition, "b", 0))


def test_folds_can_be_trained_apart(competition: Path) -> None:
    train(competition, name="whole")
    run = train(competition, name="r", folds=[1])
    assert set(oof(competition, "r").folds.tolist()) == {1}
    assert not is_finished(run)
    train(competition, name="r", folds=[0])
    assert is_finished(run)
    assert np.array_equal(oof(competition, "r").probabilities, oof(competition, "whole").probabilities)


def test_a_finished_run_is_not_touched(competition: Path) -> None:
    run = train(competition, name="r")
    before = {file: file.stat().st_mtime_ns for file in run.folder.rglob("*") if file.is_file()}
    steps = list(train_run.with_progress(Workspace.open(competition), "r"))
    assert steps == []
    assert {file: file.stat().st_mtime_ns for file in run.folder.rglob("*") if file.is_file()} == before


def test_another_experiment_under_a_name_is_refused_with_what_differs(competition: Path) -> None:
    train(competition, name="r")
    with pytest.raises(ConfigError, match=r"C11 [\s\S]*epochs: 2 before, 3 now"):
        train(competition, ["epochs=3"], name="r")


def test_resuming_with_other_rows_is_refused(competition: Path) -> None:
    train(competition, name="r", folds=[0])
    file = competition / "data" / "train.csv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match=r"D60 [\s\S]*rows: 1 gone: 059"):
        train(competition, name="r", folds=[1])


def test_resuming_with_another_image_is_refused(competition: Path) -> None:
    train(competition, name="r", folds=[0])
    images = competition / "data" / "images"
    (images / "007.png").write_bytes((images / "003.png").read_bytes())
    with (
        pytest.raises(DataError, match=r"D60 [\s\S]*images: 1 with another file: 007"),
        pytest.warns(KitWarning, match="W0"),
    ):
        train(competition, name="r", folds=[1])


def test_a_run_in_use_is_left_alone(competition: Path) -> None:
    folder = competition / "runs" / "r"
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"), pytest.raises(BusyError, match="is in use by"):
        train(competition, name="r")


def test_names_come_from_the_network_and_the_experiment(competition: Path) -> None:
    plain = Workspace.open(competition)
    name = default_name(plain.experiment)
    assert name.startswith("small-16-")
    assert len(name) == len("small-16-") + 6
    assert default_name(Workspace.open(competition, ["workers=3", "device=cpu"]).experiment) == name
    assert default_name(Workspace.open(competition, ["epochs=3"]).experiment) != name
    with pytest.raises(ConfigError, match="C13"):
        find_run(plain, "../elsewhere")


def test_a_fold_that_does_not_exist_is_an_error(competition: Path) -> None:
    with pytest.raises(ConfigError, match="C14 no fold 5: the folds are 0 to 1"):
        train(competition, name="r", folds=[5])


def test_a_dry_run_says_what_a_run_would_be_and_trains_nothing(competition: Path) -> None:
    report = dry_run(Workspace.open(competition), "r")
    assert (report.rows, report.classes, report.steps_per_epoch, report.steps) == (60, 3, 4, 16)
    assert report.folds == {0: (30, 30), 1: (30, 30)}
    assert report.first_batch == (8, 3, 16, 16)
    assert report.guessing_loss == pytest.approx(np.log(3))
    assert not (competition / "runs" / "r" / "fold-0").exists()


def test_a_truncated_image_stops_before_training(competition: Path) -> None:
    file = competition / "data" / "images" / "004.png"
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"1 of 60 train images are unusable \(D05 1\)"):
        train(competition, name="r")


def test_bad_training_images_can_be_dropped_and_are_not_predicted(competition: Path) -> None:
    (competition / "data" / "images" / "004.png").write_bytes(b"")
    with pytest.warns(KitWarning, match=r"1 of 60 train images .*excluded from training"):
        train(competition, ["data.on_unreadable_train=skip"], name="r")
    assert "004" not in oof(competition, "r").ids.tolist()
    assert len(oof(competition, "r")) == 59
    assert "004.png,004,train,D01," in (competition / "quarantine.csv").read_text()


def test_missing_training_images_can_be_dropped_too(competition: Path) -> None:
    (competition / "data" / "images" / "004.png").unlink()
    with pytest.raises(DataError, match="D02"):
        train(competition, name="r")
    with pytest.warns(KitWarning, match=r"1 of 60 train images .*D02 1.*excluded from training"):
        train(competition, ["data.on_unreadable_train=skip"], name="r")
    assert len(oof(competition, "r")) == 59


def test_what_would_stop_tta_is_said_before_training(competition: Path) -> None:
    (competition / "data" / "images" / "065.png").unlink()
    with pytest.warns(KitWarning, match=r"W12 the test rows cannot be used as they are.*D02"):
        dry_run(Workspace.open(competition), "r")


def test_an_image_in_train_and_test_is_said_before_training(competition: Path) -> None:
    images = competition / "data" / "images"
    (images / "065.png").write_bytes((images / "004.png").read_bytes())
    with pytest.warns(KitWarning, match=r"W01 1 images are in both train and test[\s\S]*004 = 065"):
        dry_run(Workspace.open(competition), "r")


def test_groups_stay_whole_and_a_holdout_predicts_what_it_held_out(tmp_path: Path) -> None:
    root = draw_competition(tmp_path / "other")
    run = train(root, ["splitter=holdout"], name="h")
    assert len(oof(root, "h")) == 12
    assert run.folds().count == 1
    grouped = draw_competition(tmp_path / "grouped", data={"group": "person"})
    train(grouped, ["splitter=stratified_group_kfold", "splitter.folds=2"], name="g")
    predictions = oof(grouped, "g")
    people: dict[int, set[int]] = {}
    for row, fold in zip(predictions.ids.tolist(), predictions.folds.tolist(), strict=True):
        people.setdefault(int(row) // 6, set()).add(fold)
    assert all(len(folds) == 1 for folds in people.values())


BROKEN_AT_VALIDATION = """
from torch import nn
from kit.kinds import Backbone

class Overflow(nn.Module):
    def forward(self, features):
        return features if self.training else features * float("inf")

class Broken(Backbone):
    def build(self):
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), Overflow())
"""


def test_predictions_that_are_not_finite_stop_the_first_epoch_and_name_the_layer(competition: Path) -> None:
    (competition / "plugins" / "backbone").mkdir(parents=True)
    (competition / "plugins" / "backbone" / "broken.py").write_text(BROKEN_AT_VALIDATION)
    text = r"R20 fold 0 epoch 1/3: 30 of 30 held-out predictions are not finite; layer backbone\.2 \(Overflow\) gives"
    with pytest.raises(RunError, match=text) as caught:
        train(competition, ["backbone=broken", "epochs=3", "precision=float32"], name="r")
    assert caught.value.cases
    assert not list((competition / "runs" / "r").glob("fold-0/oof.parquet"))


def test_a_fold_starts_its_loader_processes_once(competition: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    plain = LoaderProcesses._open

    def noted(self: LoaderProcesses) -> Any:
        opened.append(self.workers)
        return plain(self)

    monkeypatch.setattr(LoaderProcesses, "_open", noted)
    train(competition, ["epochs=3", "workers=1"], name="r", folds=[0])
    assert opened == [1]


def test_a_checkpoint_is_written_after_so_many_minutes(
    competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[tuple[int, int]] = []
    plain = checkpoints.save

    def noted(folder: Path, number: int, *more: Any, **named: Any) -> Path:
        saved.append((number, more[-1]))
        return plain(folder, number, *more, **named)

    monkeypatch.setattr(checkpoints, "save", noted)
    train(competition, ["epochs=2", "batch_size=8", "save_every_minutes=1e-9"], name="r", folds=[0])
    steps = [step for number, step in saved if number == 0]
    assert steps == [*range(1, len(steps) + 1)]  # each step takes longer than that
    assert (2, 0) in saved
    saved.clear()
    train(competition, ["epochs=2", "batch_size=8", "save_every_minutes=60"], name="rare", folds=[0])
    assert saved == [(1, 0), (2, 0)]
    assert same(weights(competition, "r", 0), weights(competition, "rare", 0))


def test_a_disk_that_is_full_while_training_continues_ends_the_run(
    competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "_save_tensors", fail)
    with pytest.raises(RunError, match=r"R06 disk full while writing .*/fold-0/0001: it needs about"):
        train(competition, ["epochs=2"], name="r", folds=[0])
