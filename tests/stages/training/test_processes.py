"""Several processes at work on one workspace: on one run the second leaves, else none disturbs another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.stages.blending.blend import blend
from kit.stages.submission.board import Board
from kit.stages.training.train import train
from tests.ranked import fork_server
from tests.stages.training.test_train import oof

# a loss that waits for as long as a file is there
LOSS = '''
import time
from pathlib import Path
from kit.plugins.loss.cross_entropy import CrossEntropy
from kit.kinds import Loss


class Waiting(Loss):
    """Cross-entropy, with time for another process."""

    def rows(self, outputs, labels):
        while outputs.requires_grad and Path("wait").exists():
            Path("waits").touch()
            time.sleep(0.05)
        return CrossEntropy().rows(outputs, labels)
'''


def test_the_second_process_on_a_run_leaves_at_once_and_names_the_first(
    competition: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (competition / "plugins" / "loss").mkdir(parents=True)
    (competition / "plugins" / "loss" / "waiting.py").write_text(LOSS)
    (competition / "wait").touch()
    inside(competition)
    command = [sys.executable, "-m", "kit", "train", "--name", "r", "loss=waiting"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    first = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not Path("waits").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert run(["plugins", "loss"]) == 0  # imports what the next command does
        begun = time.monotonic()
        assert run(["train", "--name", "r", "loss=waiting"]) == 75
        assert time.monotonic() - begun < 2
        said = capsys.readouterr().err
        assert f"R08 {competition}/runs/r is in use by process {first.pid} on " in said
        assert (
            run(["tta", "--checkpoints", "runs/r"]) == 2
        )  # it has no finished fold yet, and is not disturbed
        assert first.poll() is None
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    Path("wait").unlink()
    assert run(["train", "--name", "r", "loss=waiting"]) == 0


def started(target: Callable[..., None], *arguments: tuple[object, ...]) -> list[int | None]:
    """Exit statuses of processes that begin together."""
    context = fork_server()
    workers = [context.Process(target=target, args=each) for each in arguments]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    return [worker.exitcode for worker in workers]


def _train(root: Path, name: str) -> None:
    train(root, name=name)


def test_two_runs_of_one_workspace_train_at_once(competition: Path) -> None:
    assert started(_train, (competition, "a"), (competition, "b")) == [0, 0]
    train(competition, name="alone")
    for name in ("a", "b"):
        assert np.array_equal(oof(competition, name).probabilities, oof(competition, "alone").probabilities)


def _blend(root: Path, names: Sequence[str]) -> None:
    for name in names:
        blend(Workspace.open(root), ["runs/a@plain"], name=name)


def test_eight_blends_at_once_lose_no_line_and_share_no_number(space: Path) -> None:
    from kit.stages.prediction.tta import tta

    tta(space, ["runs/a"])
    assert started(_blend, *((space, ("same", f"b{n}", f"c{n}")) for n in range(8))) == [0] * 8
    entries = Board.read(space / "submissions").entries
    assert [entry.number for entry in entries] == list(
        range(1, 18)
    )  # the same blend, eight times asked for, is there once
    assert sum(entry.name == "same" for entry in entries) == 1  # asked for eight times
    for entry in entries:
        assert (space / "submissions" / entry.file).is_file()
        assert (space / "submissions" / f"{entry.stem}.json").is_file()
