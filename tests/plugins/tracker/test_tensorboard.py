"""Tensorboard: what a run logs is read back from its event files by TensorBoard's own reader."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kit.data.predictions import Predictions
from kit.stages.training.train import train
from tests.approximate import approx

pytest.importorskip("tensorboard")


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder)).Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_the_event_files_hold_the_log_the_config_and_the_pooled_scores(space: Path) -> None:
    run = train(space, ["tracker=tensorboard", "tracker.every=3"], name="b")
    series = scalars(run.fold(1) / "tensorboard")
    lines = [json.loads(line) for line in (run.fold(1) / "log.jsonl").read_text().splitlines()]
    for name in ("train_loss", "macro_f1", "log_loss", "images_per_second"):
        assert series[name] == [(line["step"], approx(line[name])) for line in lines]
    assert [step for step, _ in series["batch_loss"]] == [3, 6]
    assert [step for step, _ in series["lr"]] == [3, 4, 6, 8]
    (events,) = (run.fold(1) / "tensorboard").iterdir()
    assert b'"image_size": 16' in events.read_bytes()
    whole = Predictions.read(run.predictions("plain") / "oof.parquet").provenance.scores
    assert whole is not None
    assert scalars(run.folder / "tensorboard") == {name: [(2, approx(whole[name]))] for name in whole}


def test_what_is_logged_again_after_a_resume_is_there_once(space: Path) -> None:
    run = train(space, ["tracker=tensorboard"], name="b", folds=[0])
    first = scalars(run.fold(0) / "tensorboard")
    (run.fold_predictions_file(0)).unlink()
    shutil.rmtree(run.fold(0) / "0002")  # as if it had been killed before the second checkpoint
    train(space, ["tracker=tensorboard"], name="b", folds=[0])
    assert len(list((run.fold(0) / "tensorboard").iterdir())) == 2
    again = scalars(run.fold(0) / "tensorboard")
    assert again["train_loss"] == first["train_loss"]
    assert [step for step, _ in again["images_per_second"]] == [4, 8]


def test_another_folder_can_be_asked_for(space: Path) -> None:
    train(space, ["tracker=tensorboard", "tracker.folder=events"], name="b", folds=[1])
    assert "train_loss" in scalars(space / "events" / "b" / "fold-1")
    assert set(scalars(space / "events" / "b")) == {"accuracy", "log_loss", "macro_f1"}
    assert not (space / "runs" / "b" / "fold-1" / "tensorboard").exists()
