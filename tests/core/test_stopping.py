"""Signals: one stops after the step and saves, two stop at once; what was saved continues to the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.core.stopping import Stop
from kit.data.predictions import Predictions
from kit.errors import StoppedError
from kit.model import checkpoints
from kit.stages.training.train import train, train_run

# a loss that sends signals when it has been asked as often as NUMBER, which is once a step
LOSS = """
import os, signal
from torch import Tensor
from kit.plugins.loss.cross_entropy import CrossEntropy
from kit.kinds import Loss

asked = 0


class Signalled(Loss):
    \"\"\"Cross-entropy, and signals.\"\"\"

    def rows(self, outputs: Tensor, labels: Tensor) -> Tensor:
        global asked
        asked += 1
        if asked == NUMBER and outputs.requires_grad:
            SEND
        return CrossEntropy().rows(outputs, labels)
"""


def signalled(space: Path, number: int, send: str) -> None:
    (space / "plugins" / "loss").mkdir(parents=True, exist_ok=True)
    text = LOSS.replace("NUMBER", str(number)).replace("SEND", send)
    (space / "plugins" / "loss" / "signalled.py").write_text(text)


def oof(space: Path, name: str) -> np.ndarray:
    return Predictions.read(space / "runs" / name / "predictions" / "plain" / "oof.parquet").probabilities


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_stops_after_the_step_saves_and_the_same_command_continues(
    competition: Path,
    inside: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
    number: int,
    status: int,
) -> None:
    inside(competition)
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    signalled(competition, 6, f"os.kill(os.getpid(), {int(number)})")
    assert run(["train", "--name", "r", "loss=signalled"]) == status
    said = capsys.readouterr().err
    assert "stopping after this step; repeat to stop immediately" in said
    assert "R05 stopped after fold 0 epoch 2, step 2, saved" in said
    assert "run the same command again to resume" in said
    assert checkpoints.within(competition / "runs" / "r" / "fold-0") == [(1, 2)]
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert run(["train", "--name", "r", "loss=signalled"]) == 0
    assert checkpoints.within(competition / "runs" / "r" / "fold-0") == []
    train(competition, ["loss=signalled"], name="undisturbed")
    assert np.array_equal(oof(competition, "r"), oof(competition, "undisturbed"))


def test_two_signals_stop_at_once(
    competition: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    inside(competition)
    signalled(competition, 6, "[os.kill(os.getpid(), signal.SIGINT) for _ in range(2)]")
    assert run(["train", "--name", "r", "loss=signalled"]) == 130
    assert (
        "interrupted; run the same command again to resume from the last checkpoint"
        in capsys.readouterr().err
    )
    assert checkpoints.within(competition / "runs" / "r" / "fold-0") == []
    assert run(["train", "--name", "r", "loss=signalled"]) == 0


def test_a_stop_that_was_asked_for_before_a_fold_leaves_it_alone(competition: Path) -> None:
    train(competition, name="r", folds=[0])
    stop = Stop(requested=signal.SIGTERM)
    with pytest.raises(
        StoppedError, match="R05 stopped before fold 0; the finished folds are saved"
    ) as caught:
        train_run(Workspace.open(competition), "r", stop=stop)
    assert caught.value.exit_code == 143
    assert not (competition / "runs" / "r" / "fold-1").exists()


@pytest.mark.parametrize(
    ("send", "status", "saved"),
    [
        ("os.killpg(os.getpgrp(), signal.SIGTERM)", 143, [(0, 2)]),
        ("[os.killpg(os.getpgrp(), signal.SIGINT) for _ in range(2)]", 130, []),
    ],
    ids=["once", "twice"],
)
def test_signals_to_the_whole_group_leave_no_process_and_what_was_saved(
    competition: Path, send: str, status: int, saved: list[tuple[int, int]]
) -> None:
    signalled(competition, 2, send)
    command = [sys.executable, "-m", "kit", "train", "--name", "r", "loss=signalled", "workers=1"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.run(
        command,
        cwd=competition,
        env=environment,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=120,
    )
    assert process.returncode == status, process.stderr
    assert "Traceback" not in process.stderr
    assert checkpoints.within(competition / "runs" / "r" / "fold-0") == saved
    left = [entry for entry in Path("/proc").glob("[0-9]*/cwd") if works_in(entry) == competition.resolve()]
    assert not left


def works_in(entry: Path) -> Path | None:
    try:
        return entry.readlink()
    except OSError:
        return None
