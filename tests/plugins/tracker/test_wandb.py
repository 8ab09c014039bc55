"""Wandb: offline it works without account and network, and a fold that continues is the same run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kit.plugins.tracker.wandb import Wandb
from kit.stages.training.train import train

wandb = pytest.importorskip("wandb")


@pytest.fixture
def alone(space: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace on a machine that knows no account."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(space / "no-netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(space / "no-settings"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(space / "cache-of-wandb"))
    return space


def offline_runs(folder: Path) -> list[Path]:
    return sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))


def test_an_offline_run_leaves_its_directory_and_a_resumed_fold_its_id(alone: Path) -> None:
    options = ["tracker=wandb", "tracker.mode=offline", "tracker.project=demo", "tracker.every=3"]
    run = train(alone, options, name="b", folds=[0])
    (kept,) = offline_runs(run.fold(0))
    content = kept.read_bytes()
    for words in (b"demo", b"b/fold-0", b"train_loss", b"macro_f1", b"batch_loss", b"stratified_kfold"):
        assert words in content
    (pooled,) = offline_runs(run.folder)
    assert pooled.name != kept.name
    assert b"macro_f1" in pooled.read_bytes()
    run.fold_predictions_file(0).unlink()
    shutil.rmtree(run.fold(0) / "0002")  # as if it had been killed before the second checkpoint
    train(alone, options, name="b", folds=[0])
    assert {file.name for file in offline_runs(run.fold(0))} == {kept.name}


def test_without_a_login_auto_is_offline_and_asks_nothing(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins = []
    monkeypatch.setattr(wandb, "login", lambda **options: logins.append(options))
    assert Wandb.open("wandb")._mode() == "offline"
    assert logins == [{"prompt": False, "verify": False}]
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert Wandb.open("wandb")._mode() is None


def test_the_command_leaves_no_process_and_prints_nothing_of_its_own(alone: Path) -> None:
    arguments = ["train", "--name", "b", "--folds", "0", "tracker=wandb"]
    child = subprocess.Popen(
        [sys.executable, "-m", "kit", *arguments],
        cwd=alone,
        start_new_session=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        out, err = child.communicate(timeout=180)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        raise
    assert (child.returncode, out) == (0, "runs/b\n")
    assert "wandb" not in err
    assert "W15" not in err
    assert len(offline_runs(alone / "runs" / "b" / "fold-0")) == 1
    with pytest.raises(ProcessLookupError):  # nobody is left in the child's group
        os.killpg(child.pid, 0)
