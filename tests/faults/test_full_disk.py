"""A full disk: what was there stays, kit says what is full and how much is needed, and asks before it begins."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

import pytest

from kit.core.files import format_bytes
from kit.core.memmaps import empty_or_memmap
from kit.errors import KitWarning, RunError
from kit.stages.training.train import train
from tests.full_disk import ARTEFACTS

ROOT = Path(__file__).parents[2]
Usage = namedtuple("Usage", "total used free")


def measure(command: list[str]) -> dict[str, list[str]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=400, cwd=ROOT)
    assert process.stdout, process.stderr
    return dict(json.loads(process.stdout))


def test_at_each_artefact_the_old_stays_the_message_says_so_and_the_same_commands_repair_it(
    tmp_path: Path,
) -> None:
    """By a limit on the size of files, which any user may set, or where root may mount one by a disk that is full."""
    here = [sys.executable, "-m", "tests.full_disk"]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else tmp_path) as folder:
        script = 'mount -t tmpfs -o size=24m none "$1" && exec "$2" -m tests.full_disk "$1" fill'
        mounting = ["unshare", "-m", "sh", "-c", script, "sh", folder, sys.executable]
        allowed = (
            shutil.which("unshare")
            and not subprocess.run(
                ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$1"', "sh", folder], capture_output=True
            ).returncode
        )
        wrong = measure(mounting if allowed else [*here, folder, "limit"])
    assert list(wrong) == [*ARTEFACTS, "at the end"]
    assert not any(wrong.values()), wrong


def limit_space(monkeypatch: pytest.MonkeyPatch, bytes_free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, bytes_free))


def test_a_run_that_surely_will_not_fit_is_not_begun(
    competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_space(monkeypatch, 10_000)
    with pytest.raises(
        RunError, match=r"R06 the disk is too small for the run: .*checkpoints .* 10 kB are free"
    ):
        train(competition, name="r")
    assert not (competition / "runs" / "r" / "fold-0").exists()


def test_a_run_that_may_not_fit_is_warned_of_and_begun(
    competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(competition, name="b", folds=[0])
    tensors = (competition / "runs" / "b" / "fold-0" / "0001" / "model.safetensors").stat().st_size
    # weights, their average and two tensors of the optimizer: two folds keep two each, and one is written beside them
    limit_space(monkeypatch, int(4.5 * 4 * tensors))
    with pytest.warns(KitWarning, match=r"W20 the disk may be too small .*checkpoints .*predictions"):
        train(competition, ["image_size=12"], name="r")


def test_all_folds_checkpoints_are_counted_before_training(
    competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(competition, name="b", folds=[0])
    checkpoint = competition / "runs" / "b" / "fold-0" / "0001"
    size = sum(file.stat().st_size for file in checkpoint.iterdir())
    limit_space(monkeypatch, 3 * size)
    with pytest.raises(RunError, match=r"R06 the disk is too small for the run: .*checkpoints "):
        train(competition, ["image_size=12"], name="r")


def test_the_cache_counts_too(competition: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = 60 * 3 * 500 * 500  # images of the training table, one square each
    limit_space(monkeypatch, pixels)
    with pytest.raises(
        RunError, match=rf"R06 .*cache {format_bytes(pixels)}\), and {format_bytes(pixels)} are"
    ):
        train(competition, ["cache_size=500"], name="r")
    assert not (competition / "cache").exists()
    monkeypatch.undo()
    train(competition, ["epochs=1"], name="small")
    limit_space(monkeypatch, 5_000_000)  # what is cached already is not counted
    train(competition, ["epochs=1"], name="again")


def test_a_cache_on_another_disk_is_compared_with_that_disk(
    competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kit.experiment.batch_size.same_disk", lambda *_: False)
    monkeypatch.setattr(
        "kit.experiment.batch_size.free_space", lambda path: 10**6 if path.name == "elsewhere" else 10**12
    )
    elsewhere = competition / "elsewhere"
    with pytest.raises(
        RunError, match=rf"R06 the disk is too small for the cache: {elsewhere} needs about 45 MB"
    ):
        train(competition, ["cache_size=500", "cache_folder=elsewhere"], name="r")
    train(competition, ["epochs=1", "cache_folder=elsewhere"], name="r")
    assert (elsewhere / "hashes.json").is_file()
    assert not (competition / "cache").exists()


def test_enough_room_is_not_spoken_of_and_is_what_was_written(
    competition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kit.config.workspace import Workspace
    from kit.core.progress import finish
    from kit.experiment.batch_size import estimate_disk
    from kit.experiment.fold_training import new_learner
    from kit.experiment.run_context import prepare_run
    from kit.runs.run import Run

    wide = Workspace.open(competition, ["backbone.width=64"])
    setting = finish(prepare_run(wide, Run(competition / "runs" / "r")))
    network = new_learner(setting, 0).network
    estimate = estimate_disk(setting.run, setting.experiment, network, [0, 1])
    train(wide, name="r")
    files = [
        *(competition / "runs" / "r").rglob("*.safetensors"),
        *(competition / "runs" / "r").rglob("state.pt"),
    ]
    written = sum(file.stat().st_size for file in files)
    assert estimate.checkpoints == pytest.approx(written * 5 / 4, rel=0.01)  # one more is being written
    assert estimate_disk(setting.run, setting.experiment, network, [0, 1]).checkpoints == 0


def test_a_large_array_takes_its_blocks_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, start: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(RunError, match=r"R06 disk full .*: it needs about 96 bytes"):
        empty_or_memmap((2, 3, 4), tmp_path, large=96)


def test_amounts_are_read_by_people() -> None:
    assert [format_bytes(count) for count in (12, 1500, 2_340_000, 5.1e9)] == [
        "12 bytes",
        "1.5 kB",
        "2.34 MB",
        "5.1 GB",
    ]
