"""kit watch: a run at work is followed by its files, line by line, to its end, which is named."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from kit.commands._menu import run as command
from kit.config.workspace import Workspace
from kit.runs.epoch_log import EpochLog
from kit.runs.run import Run
from kit.runs.watching import snapshot, watch
from tests.conftest import Kit
from tests.stages.training.test_processes import LOSS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def workspace(space: Path) -> Workspace:
    return Workspace.open(space)


@pytest.fixture
def half(workspace: Workspace) -> Run:
    """The run of two folds and two epochs, as it was in its second fold's first epoch."""
    one = Run(workspace.runs / "a")
    (one.predictions("plain") / "oof.parquet").unlink()
    one.fold_predictions_file(1).unlink()
    (one.fold(1) / "log.jsonl").unlink()
    return one


def line(epoch: int, **values: float) -> dict[str, float]:
    return {"epoch": epoch, "step": 4, "lr": 0.01, "train_loss": 0.5, "images_per_second": 99.0, **values}


def write_log(one: Run, fold: int, *lines: dict[str, float]) -> None:
    (one.fold(fold) / "log.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))


def test_the_time_left_is_that_of_all_epochs_that_are_left(half: Run) -> None:
    write_log(half, 0, line(1, seconds=3), line(2, seconds=5))
    write_log(half, 1, line(1, seconds=4))
    with half.lock():
        seen = snapshot(half)
    assert seen.seconds == pytest.approx(4.0)  # one epoch of four, at 12 seconds for three
    assert seen.share == 0.75
    assert (seen.end, [one.finished for one in seen.folds]) == ("", [True, False])


def test_it_ends_when_nobody_is_at_work_and_says_why(half: Run) -> None:
    assert snapshot(half).end == "stopped"
    (half.folder / "busy.json").write_text('{"pid": 77, "host": "h", "since": "then"}')
    seen = snapshot(half)
    assert seen.end == "gone"
    assert seen.state.startswith("the process has ended: process 77 on h since then; stopped in fold 1")
    assert seen.seconds is None
    with FileLock(half.folder / ".lock"):
        assert snapshot(half).end == ""


def test_each_epoch_is_looked_at_as_it_comes(half: Run) -> None:
    lock = FileLock(half.folder / ".lock")
    moments: list[Callable[[], object]] = [
        lambda: write_log(half, 1, line(1)),
        lambda: write_log(half, 1, line(1), line(2)),
        lock.release,
    ]
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        moments.pop(0)()

    (half.folder / "busy.json").write_text("{}")
    lock.acquire()
    seen = [len(each.folds[1].lines) for each in watch(half, 0.25, wait)]
    assert seen == [0, 1, 2, 2]
    assert waits == [0.25] * 3


def test_what_is_damaged_of_a_log_is_left_out(half: Run) -> None:
    for text in ("[1]\n", '{"epoch": 1}\n', '{"epo', "\xff"):
        (half.fold(1) / "log.jsonl").write_text(text, encoding="latin-1")
        assert snapshot(half).folds[1].lines == ()


def test_a_finished_run_is_reported_at_once(workspace: Workspace, kit: Kit) -> None:
    status, out, said = kit("watch", "a")
    assert status == 0
    logged = EpochLog.read(workspace.runs / "a/fold-0/log.jsonl").lines[0]
    assert len(out.splitlines()) == 4
    assert out.startswith(
        f"fold 0 epoch 1/2: loss {logged['train_loss']:.4f}, macro_f1 {logged['macro_f1']:.4f}, "
    )
    assert said == "runs/a: finished\n"
    assert kit("watch", "b")[0] == 2


def test_the_exit_status_says_how_it_ended(half: Run, kit: Kit) -> None:
    assert kit("watch", "a", "--snapshot")[0] == 4
    (half.folder / "busy.json").write_text("{}")
    assert kit("watch", "a")[0] == 1
    status, out, _ = kit("watch", "a", "--json")
    assert (status, json.loads(out)["end"]) == (1, "gone")


def test_a_terminal_has_a_line_a_fold(half: Run, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    write_log(half, 0, line(1, seconds=3), line(2, seconds=5, macro_f1=0.75, memory_mib=321))
    stream = Terminal()
    monkeypatch.setattr("sys.stdout", stream)
    for name, value in {"TERM": "xterm", "COLUMNS": "90", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(half.folder.parents[1])
    assert command(["watch", "a"]) == 4
    rows = [text.split() for text in stream.getvalue().splitlines()]
    assert ["0", "2/2", "0.5000", "0.7500", "99", "321", "finished"] in rows
    assert ["1", "0/2"] in rows
    assert "runs/a: 50%, stopped" in stream.getvalue()


def test_a_run_of_another_process_is_followed_until_it_is_killed(competition: Path) -> None:
    (competition / "plugins" / "loss").mkdir(parents=True)
    (competition / "plugins" / "loss" / "waiting.py").write_text(LOSS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    seen, log = competition / "seen.txt", competition / "runs/r/fold-0/log.jsonl"

    def start(words: str, file: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "kit", *words.split()]
        with file.open("wb") as stream:
            return subprocess.Popen(command, cwd=competition, env=environment, stdout=stream, stderr=stream)

    train = start("train --name r loss=waiting epochs=500", competition / "said.txt")
    try:
        until(log.is_file)
        watch = start("watch r --every 0.05", seen)
        until(lambda: "epoch 1/500" in seen.read_text())
        (competition / "wait").touch()
        until((competition / "waits").exists)
    finally:
        train.send_signal(signal.SIGKILL)
        train.wait()
    assert watch.wait(60) == 1
    *lines, end = seen.read_text().splitlines()
    assert len(lines) == len(log.read_text().splitlines())
    assert [line.split(": loss ")[0] for line in lines] == [
        f"fold 0 epoch {number}/500" for number in range(1, len(lines) + 1)
    ]
    assert end.startswith(f"runs/r: the process has ended: process {train.pid} on ")


def until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_looking_at_runs_does_not_load_torch(workspace: Workspace) -> None:
    calls = "[run(words) for words in (['watch', 'a', '--snapshot'], ['runs'], ['runs', 'diff', 'a', 'a'])]"
    program = f"import sys; from kit.commands._menu import run; print({calls}, 'torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=workspace.root, env=environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[0, 0, 0] False", done.stderr
