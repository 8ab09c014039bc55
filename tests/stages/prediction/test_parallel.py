"""Predictions in parts, by an executor: the same bytes as without, and errors that keep their codes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.core.files import sha256
from kit.core.progress import finish
from kit.core.stopping import Stop
from kit.errors import DataError
from kit.stages.prediction.parallel import ShardJob, predict_shard
from kit.stages.prediction.tta import tta
from kit.stages.prediction.view_policy import choose_views
from tests.stages.training.test_parallel import TWO

# views that kill the first process that opens them after the command's own
ODD = '''"""Mirrored too; the first process that is not the first one to open it dies."""
import os, signal
from pathlib import Path
from kit.kinds import Views

ROOT = Path(__file__).parents[2]


class Odd(Views):
    """As hflip. Source: this test."""

    def views(self):
        import ttach

        if not (ROOT / "first").exists():
            (ROOT / "first").write_text(str(os.getpid()))
        elif (ROOT / "first").read_text() != str(os.getpid()):
            try:
                (ROOT / "done").mkdir()
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return [ttach.HorizontalFlip()]
'''
SHARED = sys.modules["kit.stages.prediction.parallel"]


def files(space: Path, views: str) -> dict[str, str]:
    """Hashes of the run's predictions by a set of views."""
    return {file.name: sha256(file) for file in (space / "runs/a/predictions" / views).glob("*.parquet")}


def by(space: Path, executor: str) -> Workspace:
    return Workspace.open(space, [f"executor={executor}"])


@pytest.fixture
def jobs(space: Path, monkeypatch: pytest.MonkeyPatch) -> list[ShardJob]:
    """The jobs of a `kit tta` that was done in this process."""
    seen: list[ShardJob] = []

    def noting(job: ShardJob, stop: Stop) -> object:
        seen.append(job)
        return predict_shard(job, stop)

    with monkeypatch.context() as context:
        context.setattr(SHARED, "predict_shard", noting)
        tta(by(space, "in_process"), ["runs/a"], "hflip")
    return seen


def test_parts_end_where_batches_do_and_come_to_the_same_bytes(space: Path, jobs: list[ShardJob]) -> None:
    contents = files(space, "hflip")
    assert sum(len(job.rows) for job in jobs) == 60 + 2 * 12
    assert len(jobs) > 6
    for split in ("oof", "test"):
        for fold in (0, 1):
            parts = [job for job in jobs if job.split == split and f"/fold-{fold}/" in job.checkpoint]
            assert all(len(part.rows) % 8 == 0 for part in parts[:-1])
    for file in (space / "runs/a/predictions/hflip").iterdir():
        file.unlink()
    tta(space, ["runs/a"], "hflip")
    assert contents == files(space, "hflip")
    assert len(contents) == 2


def test_processes_come_to_the_same_bytes_with_a_worker_killed(
    space: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (space / "plugins/views").mkdir(parents=True)
    (space / "plugins/views/odd.py").write_text(ODD)
    inside(space)
    assert run(["tta", "--checkpoints", "runs/a", "--views", "odd", "--executor", TWO]) == 0
    said = capsys.readouterr()
    assert "its process was killed by signal 9; another worker resumes" in said.err
    assert "tta: a@odd oof fold 1: 30 rows, 2 views" in said.err
    assert "tta: a@odd test: 12 rows, 2 views" in said.err
    assert said.out == "runs/a@odd\n"
    contents = files(space, "odd")
    for file in (space / "runs/a/predictions/odd").iterdir():
        file.unlink()
    assert run(["tta", "--checkpoints", "runs/a", "--views", "odd"]) == 0
    assert contents == files(space, "odd")


def test_a_policy_by_an_executor_is_the_same(space: Path) -> None:
    choose_views(by(space, "in_process"), ["runs/a"], "hflip", "greedy")
    contents = files(space, "hflip-greedy")
    for folder in (space / "runs/a/predictions").glob("*[!n]"):
        if folder.name != "plain":
            for file in folder.iterdir():
                file.unlink()
    choose_views(space, ["runs/a"], "hflip", "greedy")
    assert contents == files(space, "hflip-greedy")
    assert contents


def test_a_worker_with_another_kit_other_plugins_or_images_is_refused(jobs: list[ShardJob]) -> None:
    for other, said in (
        (replace(jobs[0], kit="0" * 64), "has another version of kit than the command"),
        (replace(jobs[0], images="0" * 64), "would predict a@hflip from other inputs than the command"),
        (replace(jobs[0], plugins={"views/hflip": "0" * 64}), "plugins views/hflip: 00000000"),
    ):
        with pytest.raises(DataError) as caught:
            finish(predict_shard(other, Stop()))
        assert caught.value.code == "D60"
        assert said in str(caught.value)


def test_asked_to_stop_a_part_ends_after_a_batch_and_keeps_it(jobs: list[ShardJob]) -> None:
    assert len(jobs[0].rows) > 8
    probabilities = finish(predict_shard(jobs[0], Stop(requested=signal.SIGTERM)))
    assert np.isfinite(probabilities[:8]).all()
    assert np.isnan(probabilities[8:, 0]).all()
    assert np.array_equal(probabilities[:8], finish(predict_shard(jobs[0], Stop()))[:8])


def test_an_error_ends_it_with_its_code_and_writes_nothing(
    space: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    for weights in (space / "runs/a/fold-1").glob("*/*.safetensors"):
        weights.write_bytes(weights.read_bytes()[:-9] + bytes(9))
    inside(space)
    assert run(["tta", "--checkpoints", "runs/a", "--views", "hflip", "--executor", "in_process"]) == 3
    assert "error: D51" in capsys.readouterr().err
    assert not files(space, "hflip")
