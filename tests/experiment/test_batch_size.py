"""kit memory, the batch that "auto" stands for, and what happens before a step that would not fit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kit.commands._menu import run
from kit.device import memory
from kit.engine.learner import Learner
from kit.engine.memory_footprint import PARTS, Footprint
from kit.errors import ConfigError
from kit.experiment.batch_size import StepMemory, _exchange_bytes, scale_lr
from kit.kinds import Optimizer
from tests.drawing import draw_competition

MIB = 2**20


def sized(free: int, scratch: int = 0) -> StepMemory:
    """A step that takes 100 MiB, and 2 MiB an image; 40 MiB are held already."""
    fixed, each = np.zeros((1, len(PARTS))), np.zeros((1, len(PARTS)))
    fixed[0, 0], each[0, 5] = 100 * MIB, 2 * MIB
    return StepMemory(Footprint(fixed, each, {}), 10, scratch, None, memory.DeviceMemory(0, free), 40 * MIB)


def test_what_fits_leaves_a_tenth_of_the_free_memory() -> None:
    assert sized(100 * MIB).largest() == 15  # 0.9 * 100 + 40 = 100 + 2 * 15
    assert sized(50 * MIB).largest() == 0
    assert sized(100 * MIB, scratch=10 * MIB).largest() == 10  # 130 = 100 + 2 * 10 + 10
    assert sized(100 * MIB, scratch=10 * MIB).parts(40)["workspace"] == 20 * MIB


def test_the_rate_follows_the_batch_by_the_rule_of_its_optimizer() -> None:
    adam, sgd = Optimizer.open({"name": "adamw", "lr": 0.002}), Optimizer.open({"name": "sgd", "lr": 0.1})
    assert scale_lr(adam, 128).lr == pytest.approx(0.004)  # type: ignore[attr-defined]
    assert scale_lr(sgd, 128).lr == pytest.approx(0.4)  # type: ignore[attr-defined]
    assert scale_lr(adam, 32) == adam


def test_an_optimizer_without_a_rate_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "plugins" / "optimizer" / "rateless.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        '"""None."""\nfrom kit.kinds import Optimizer\n\n\nclass Rateless(Optimizer):\n    """No lr."""\n'
    )
    with pytest.raises(
        ConfigError, match="C26 batch_size \"auto\" scales the learning rate, but optimizer 'rateless'"
    ):
        scale_lr(Optimizer.open("rateless", tmp_path), 64)


@pytest.fixture
def competition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(draw_competition(tmp_path, train=300))
    return tmp_path


def limit(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """Lets a machine have so many bytes free."""
    monkeypatch.setattr("kit.device.memory.device_memory", lambda device: memory.DeviceMemory(0, free))


def test_auto_is_measured_once_written_down_and_kept(
    competition: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limit(monkeypatch, 3 * MIB)
    monkeypatch.setattr("kit.device.memory.peak_during", lambda device, work: None)
    config = ["batch_size=auto", "optimizer.lr=0.01", "epochs=1"]
    assert run(["train", "--name", "r", *config, "--folds", "0"]) == 0
    said = capsys.readouterr().err
    resolved = json.loads((competition / "runs" / "r" / "config.json").read_text())
    count = resolved["batch_size"]
    assert count in (1, 2, 3, 4, 5, 6, 7, 8)
    assert resolved["optimizer"]["lr"] == pytest.approx(0.01 * math.sqrt(count / 32))
    assert f"memory: batch_size {count}, optimizer.lr" in said
    limit(monkeypatch, 4000 * MIB)
    assert run(["train", "--name", "r", *config]) == 0  # the second fold has the first one's batch
    assert "memory:" not in capsys.readouterr().err
    assert json.loads((competition / "runs" / "r" / "config.json").read_text())["batch_size"] == count


def test_auto_keeps_enough_steps_an_epoch_where_memory_is_plenty(
    competition: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "--name", "r", "batch_size=auto", "epochs=1", "--folds", "0"]) == 0
    assert (
        json.loads((competition / "runs" / "r" / "config.json").read_text())["batch_size"] == 8
    )  # 150 rows / 16


def test_a_step_that_would_not_fit_is_made_smaller_before_it_is_begun(
    competition: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kit.device.memory.peak_during", lambda device, work: None)
    limit(monkeypatch, MIB)
    assert run(["train", "--name", "r", "batch_size=100", "epochs=1", "--folds", "0"]) == 0
    said = capsys.readouterr().err
    assert "train: fold 0: a step of 100 images needs" in said
    assert "at a time, the batch stays 100" in said
    limit(monkeypatch, 1000)
    assert run(["train", "--name", "s", "epochs=1", "--folds", "0"]) == 1
    assert "R02 one image at a time needs" in capsys.readouterr().err


Kit = Callable[..., tuple[int, str, str]]


def test_kit_memory_prints_draws_and_gives_numbers(
    competition: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["memory", "--batch-size", "8,16", "--out", "m.png"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("small, float32 channels_last on cpu: ")
    assert "largest batch that fits: " in said
    assert (competition / "m.png").read_bytes().startswith(b"\x89PNG")
    assert run(["memory", "--batch-size", "8,16", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    small, large = report["sizes"]
    assert large["parts"]["activations"] > small["parts"]["activations"]
    assert small["peak"] == sum(small["parts"].values())
    assert report["measured"]["images"] == 16


def test_kit_memory_reads_no_image(competition: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in (competition / "data" / "images").iterdir():
        file.write_bytes(b"")
    assert run(["memory"]) == 0


@pytest.mark.parametrize("arguments", [["--out", "m.jpg"], ["--batch-size", "0,8"], ["--batch-size", "many"]])
def test_kit_memory_refuses_what_it_cannot_do(competition: Path, arguments: list[str]) -> None:
    assert run(["memory", *arguments]) == 2


def test_a_real_step_that_runs_out_of_memory_is_reported_and_does_not_fit(
    competition: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = torch.nn.Conv2d.forward

    def short(module: torch.nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
        if len(images) > 16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(module, images)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", short)
    assert run(["memory", "--batch-size", "8,32", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [size["fits"] for size in report["sizes"]] == [True, False]
    assert report["largest"] == 31
    assert report["measured"]["failed"].startswith("R02 out of memory (forward")
    assert run(["memory", "--batch-size", "32"]) == 0
    assert "a real step of 32 images failed: R02 out of memory (forward" in capsys.readouterr().out


def test_several_ranks_need_their_buckets_too() -> None:
    network = torch.nn.Linear(3, 5)
    network.bias.requires_grad_(False)
    learner = Learner(network, torch.optim.SGD(network.parameters()), None, torch.amp.GradScaler("cpu"))
    assert _exchange_bytes(learner) == 4 * 15
    shared = replace(sized(100 * MIB), exchange=10 * MIB)
    assert shared.largest() == 10
    assert shared.parts(1)["gradients"] == sized(100 * MIB).parts(1)["gradients"] + 10 * MIB
