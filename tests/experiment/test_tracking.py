"""Trackers get a run's numbers once, and whatever they do, the run continues as it would without them."""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from kit.commands._menu import run as kit
from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.engine import step
from kit.errors import ConfigError, KitWarning
from kit.experiment import tracking
from kit.experiment.dry_run import dry_run
from kit.model import checkpoints
from kit.runs.run import default_name, find_run
from kit.stages.training.train import train

NOTES = """
import json
from contextlib import contextmanager
from kit.kinds import Tracker

class Notes(Tracker):
    "Lines of JSON. Source: this test."

    @contextmanager
    def start(self, of):
        with (of.root / "notes.txt").open("a") as file:
            note = lambda *what: print(json.dumps(what), file=file, flush=True)
            note("start", of.name, of.step, of.key, of.config["epochs"])
            try:
                yield lambda step, values: note("log", of.name, step, dict(values))
                note("end", of.name)
            except BaseException as error:
                note("broken", of.name)
                raise
"""
AWKWARD = """
import random, threading, time
from contextlib import contextmanager
import numpy, torch
from kit.kinds import Tracker

class Awkward(Tracker):
    "Does what no tracker may. Source: this test."

    at: str = "log"
    how: str = "raise"

    @contextmanager
    def start(self, of):
        self.be("start")
        yield lambda step, values: (values.clear(), self.be("log"))
        self.be("end")

    def be(self, place):
        if place == self.at or self.how == "draw":
            if self.how == "raise": raise OSError("the server is gone\\nand more")
            if self.how == "exit": raise SystemExit(9)
            if self.how == "hang": threading.Event().wait(30)
            random.random(), numpy.random.rand(), torch.rand(1)
            random.seed(1), numpy.random.seed(1), torch.manual_seed(1)
"""


@pytest.fixture
def noted(space: Path) -> Path:
    """A workspace with the finished, untracked run `a`, and two trackers of its own."""
    folder = space / "plugins" / "tracker"
    folder.mkdir(parents=True)
    (folder / "notes.py").write_text(NOTES)
    (folder / "awkward.py").write_text(AWKWARD)
    return space


def notes(root: Path) -> list[list[object]]:
    return [json.loads(line) for line in (root / "notes.txt").read_text().splitlines()]


def log(root: Path, run: str, fold: int) -> list[dict[str, float]]:
    text = (root / "runs" / run / f"fold-{fold}" / "log.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def same(root: Path, one: str, other: str) -> bool:
    """Whether two runs have the same weights, averages and out-of-fold predictions, to the bit."""
    for fold in (0, 1):
        a, b = (checkpoints.latest(root / "runs" / name / f"fold-{fold}") for name in (one, other))
        assert a is not None
        assert b is not None
        pairs = [(a.weights, b.weights), (a.prediction_weights, b.prediction_weights)]
        if not all(torch.equal(x[key], y[key]) for x, y in pairs for key in x):
            return False
    predictions = [
        Predictions.read(root / "runs" / name / "predictions/plain/oof.parquet") for name in (one, other)
    ]
    return np.array_equal(predictions[0].probabilities, predictions[1].probabilities)


def test_a_tracker_gets_each_epoch_the_config_and_the_pooled_scores(noted: Path) -> None:
    run = train(noted, ["tracker=notes"], name="b")
    lines = notes(noted)
    assert [line[:3] for line in lines if line[0] != "end"] == [
        ["start", "b/fold-0", 0],
        ["log", "b/fold-0", 4],
        ["log", "b/fold-0", 8],
        ["start", "b/fold-1", 0],
        ["log", "b/fold-1", 4],
        ["log", "b/fold-1", 8],
        ["start", "b", 0],
        ["log", "b", 2],
    ]
    assert [line[1] for line in lines if line[0] == "end"] == ["b/fold-0", "b/fold-1", "b"]
    assert [line[3] for line in lines if line[:2] == ["log", "b/fold-1"]] == log(noted, "b", 1)
    assert lines[0][4] == 2
    whole = Predictions.read(run.predictions("plain") / "oof.parquet")
    assert lines[-2] == ["log", "b", 2, whole.provenance.scores]


def test_a_finished_run_tells_its_trackers_nothing(noted: Path) -> None:
    train(noted, ["tracker=notes"], name="a")
    assert not (noted / "notes.txt").exists()


def test_a_batchs_loss_is_reported_every_so_many_steps(noted: Path) -> None:
    train(noted, ["tracker=notes", "tracker.every=3"], name="b", folds=[0])
    lines = [line for line in notes(noted) if line[0] == "log"]
    assert [(line[2], sorted(line[3])[0]) for line in lines] == [  # type: ignore[call-overload]
        (3, "batch_loss"),
        (4, "accuracy"),
        (6, "batch_loss"),
        (8, "accuracy"),
        (1, "accuracy"),
    ]


@pytest.mark.parametrize("at", ["start", "log", "end"])
@pytest.mark.parametrize("how", ["raise", "exit", "hang"])
def test_a_tracker_that_fails_is_one_warning_and_the_run_is_the_same(
    at: str, how: str, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "TRACKER_TIMEOUT_S", 0.05 if how == "hang" else 30)
    said = {
        "raise": "OSError: the server is gone$",
        "exit": "SystemExit: 9",
        "hang": "TimeoutError: (no response|not finished) after 0.05 s",
    }[how]
    begin = time.monotonic()
    with pytest.warns(KitWarning, match=f"^W15 tracker 'awkward' failed in its {at}, .*: {said}") as caught:
        train(noted, [f'tracker=[{{"name": "awkward", "at": "{at}", "how": "{how}"}}, "notes"]'], name="b")
    assert len(caught) == 1
    assert time.monotonic() - begin < 10
    assert same(noted, "a", "b")
    assert len(notes(noted)) == 11  # the other one misses nothing
    assert log(noted, "b", 0)[0].keys() == log(noted, "a", 0)[0].keys()


def test_a_tracker_that_draws_and_seeds_changes_no_bit(noted: Path) -> None:
    train(noted, ["tracker=awkward", "tracker.how=draw", "tracker.every=1"], name="b")
    assert same(noted, "a", "b")


def test_the_command_ends_well_even_where_warnings_are_errors(
    noted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(noted)
    with warnings.catch_warnings():
        assert kit(["train", "--name", "b", "--folds", "0", "--strict", "tracker=awkward"]) == 0
    said = capsys.readouterr()
    assert said.out == "runs/b\n"
    assert said.err.count("W15 tracker 'awkward' failed in its log") == 1


class Killed(BaseException):
    """Stands for a kill: nothing in kit catches it."""


def test_a_run_that_continues_tells_no_epoch_twice_and_has_the_same_key(
    noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, done = step._apply_gradients, []

    def descend(*arguments: object) -> object:
        done.append(1)
        if len(done) == 7:
            raise Killed
        return plain(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(step, "_apply_gradients", descend)
    with pytest.raises(Killed):
        train(noted, ["tracker=notes"], name="b", folds=[0])
    train(noted, ["tracker=notes"], name="b", folds=[0])
    lines = notes(noted)
    assert [line[:3] for line in lines[:-3]] == [
        ["start", "b/fold-0", 0],
        ["log", "b/fold-0", 4],
        ["broken", "b/fold-0"],
        ["start", "b/fold-0", 4],
        ["log", "b/fold-0", 8],
        ["end", "b/fold-0"],
    ]
    assert lines[0][3] == lines[3][3]
    assert lines[0][3] != lines[-3][3]
    assert [line["step"] for line in log(noted, "b", 0)] == [4, 8]


def test_a_run_begun_again_under_the_same_name_has_another_key(noted: Path) -> None:
    keys = []
    for fold, began in enumerate(("2024-01-01T00:00:00+00:00", "2024-01-02T00:00:00+00:00")):
        run = train(noted, ["tracker=notes"], name="b", folds=[fold])
        keys += [line[3] for line in notes(noted) if line[:2] == ["start", "b"]][-1:]
        (run.folder / "manifest.json").write_text(json.dumps({**run.manifest, "started": began}))
    assert len(set(keys)) == 2


def test_a_fold_trained_to_its_end_is_not_begun_again(noted: Path) -> None:
    run = find_run(Workspace.open(noted), "a")
    run.fold_predictions_file(0).unlink()
    train(noted, ["tracker=notes"], name="a")
    assert [line[1] for line in notes(noted)] == ["a", "a", "a"]


def test_a_tracker_is_no_part_of_a_runs_identity(noted: Path) -> None:
    plain, tracked = Workspace.open(noted), Workspace.open(noted, ["tracker=notes"])
    assert default_name(plain.experiment) == default_name(tracked.experiment)
    train(noted, name="b", folds=[0])
    (noted / "plugins/tracker/notes.py").write_text(NOTES + "# another version\n")
    train(noted, ["tracker=notes"], name="b")
    assert same(noted, "a", "b")


@pytest.mark.parametrize("name", ["wandb", "tensorboard"])
def test_a_package_that_is_missing_is_reported_before_training(
    name: str, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    space = Workspace.open(noted, [f"tracker={name}"])
    for begin in (lambda: train(space, name="b"), lambda: dry_run(space, "b")):
        with pytest.raises(ConfigError, match=f"C24 tracker '{name}' needs the package {name}") as caught:
            begin()
        assert caught.value.hint == f"pip install 'kit-competitions[{name}]', or tracker=null"
    assert not find_run(space, "b").is_started


def test_a_folder_of_the_packages_name_is_no_package(noted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (noted / "wandb_of_this_test").mkdir()
    monkeypatch.syspath_prepend(noted)
    (noted / "plugins/tracker/notes.py").write_text(
        NOTES.replace('Source: this test."', 'Source: this test."\n    package = "wandb_of_this_test"')
    )
    with pytest.raises(ConfigError, match="C24"):
        train(noted, ["tracker=notes"], name="b")
