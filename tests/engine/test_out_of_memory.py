"""Runs where memory runs out: in training, validation and TTA, by a raised error and by a real limit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kit.commands._menu import run
from kit.data.predictions import Predictions
from kit.kinds import Optimizer
from tests.drawing import draw_competition
from tests.stages.training.test_train import weights

Step = Callable[[Path], None]

# a network without batch norm that runs out of memory above so many images at a time
TIGHT = '''"""A network that runs out of memory above so many images."""

import torch
from torch import nn

from kit.kinds import Backbone


class Net(nn.Module):
    def __init__(self, training_most: int, predicting_most: int) -> None:
        super().__init__()
        self.most = {True: training_most, False: predicting_most}
        self.inner = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, images):
        if len(images) > self.most[self.training]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.inner(images).tanh()


class Tight(Backbone):
    """A network that runs out of memory above so many images."""

    training_most: int = 1000
    predicting_most: int = 1000

    def build(self) -> nn.Module:
        return Net(self.training_most, self.predicting_most)
'''

# an optimizer whose third step, of all that this process makes, finds no memory after it has moved half of the weights
SHORT = '''"""AdamW that runs out of memory once."""

import torch

from kit.kinds import Optimizer

made = []


class Once(torch.optim.AdamW):
    def step(self, *arguments):
        made.append(self.param_groups[0].get("foreach"))
        if len(made) == 3:
            with torch.no_grad():
                self.param_groups[0]["params"][0].add_(100.0)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().step(*arguments)


class Short(Optimizer):
    """AdamW that runs out of memory once."""

    def build(self, parameters):
        return Once([weight for _, weight in parameters], lr=0.01)
'''


@pytest.fixture
def competition(tmp_path: Path) -> Path:
    root = draw_competition(tmp_path, batch_size=10, backbone={"name": "tight"}, splitter="stratified_kfold")
    for kind, source in (("backbone/tight.py", TIGHT), ("optimizer/short.py", SHORT)):
        file = root / "plugins" / kind
        file.parent.mkdir(parents=True)
        file.write_text(source)
    return root


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Step:
    return lambda root: monkeypatch.chdir(root)


def test_training_validation_and_tta_go_on_and_say_so(
    competition: Path, inside: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    config = ["splitter.folds=2", "loss=cutmix"]
    assert run(["train", "--name", "free", *config]) == 0
    assert run(["tta", "--checkpoints", "runs/free", "--views", "hflip"]) == 0
    capsys.readouterr()
    assert (
        run(["train", "--name", "r", *config, "backbone.training_most=4", "backbone.predicting_most=3"]) == 0
    )
    said = capsys.readouterr().err
    assert (
        "train: fold 0: R02 out of memory (forward, epoch 1, step 1) with 10 images at a time: weights"
        in said
    )
    assert "continuing with 5 at a time, the batch stays 10" in said
    assert "fold 1: R02 out of memory (validate, row 1) with 10 images at a time" in said
    assert run(["tta", "--checkpoints", "runs/r", "--views", "hflip"]) == 0
    assert "tta: R02 out of memory (r@hflip oof, row 1) with 10 images at a time" in capsys.readouterr().err
    for rows in ("oof", "test"):
        files = [
            competition / "runs" / name / "predictions/hflip" / f"{rows}.parquet" for name in ("r", "free")
        ]
        ours, theirs = (Predictions.read(file) for file in files)
        assert ours.ids.tolist() == theirs.ids.tolist()
        torch.testing.assert_close(ours.probabilities, theirs.probabilities, rtol=1e-3, atol=1e-4)


def test_memory_that_ends_while_the_weights_move_costs_the_steps_since_the_last_checkpoint(
    competition: Path, inside: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    assert run(["train", "--name", "free", "optimizer.lr=0.01"]) == 0
    capsys.readouterr()
    assert run(["train", "--name", "r", "optimizer=short", "save_every_steps=1"]) == 0
    said = capsys.readouterr().err
    assert "R02 out of memory (optimizer, epoch 1, step 3): weights" in said
    assert "resuming from the checkpoint of epoch 0, step 2, one tensor at a time" in said
    states = sys.modules[type(Optimizer.open("short", competition)).__module__].made
    assert states[:3] == [None, None, None]
    assert states[3] is False  # a tensor at a time, from the checkpoint on
    assert all(not (abs(w) > 50).any() for w in weights(competition, "r", 0).values())


def test_a_run_that_only_gives_nan_ends_with_the_ids_and_the_last_checkpoint(
    competition: Path, inside: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    assert run(["train", "--name", "r", "optimizer.lr=1e30", "save_every_steps=1", "batch_size=4"]) == 1
    said = capsys.readouterr().err
    assert "R01, step skipped" in said
    assert "the last good checkpoint is" in said
    assert "as were the 4 steps before it" in said
    assert "in the last of these steps" in said


LIMITED = """
import resource, sys, torch
torch.set_num_threads(1)
from kit.commands._menu import run
from kit.experiment import batch_size as sizing
sizing.SAFE_FACTOR = 0  # no look ahead: the real error is to come
assert run(["train", "--name", "warm", "batch_size=4", "epochs=1"]) == 0
used = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + 110 * 2**20,) * 2)
sys.exit(run(["train", "--name", "r", "batch_size=30", "epochs=1"]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is kept by Linux")
def test_a_real_limit_of_the_address_space_is_a_line_in_the_log(tmp_path: Path) -> None:
    draw_competition(
        tmp_path, image_size=96, cache_size=96, backbone={"name": "small", "width": 32, "stages": 1}
    )
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "R02 out of memory (" in done.stderr
    assert re.search(
        r"continuing with \d+ at a time, which batch norm now uses for its statistics", done.stderr
    )
    assert (tmp_path / "runs" / "r" / "predictions" / "plain" / "oof.parquet").is_file()
