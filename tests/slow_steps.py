"""A loss whose training steps take a while as long as a file says so, for deadlines in other processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kit.config.workspace import Workspace
from kit.core.stopping import Deadline, Stop
from kit.data.predictions import Predictions
from kit.errors import StoppedError
from kit.stages.training.train import train, train_run

SECONDS_PER_STEP, SECONDS = 1.0, 3.0  # a fold of 8 steps never ends within the time
LOSS = f'''"""Cross-entropy, slowly."""

import time
from pathlib import Path

from kit.plugins.loss.cross_entropy import CrossEntropy


class Slow(CrossEntropy):
    """Cross-entropy that waits at each training step while the file `slow` lies beside this one."""

    def rows(self, outputs, labels):
        if outputs.requires_grad and Path(__file__).with_name("slow").exists():
            time.sleep({SECONDS_PER_STEP})
        return super().rows(outputs, labels)
'''


def add_slow_loss(root: Path) -> Path:
    """Adds loss=slow to a workspace. Returns the file that makes it slow."""
    folder = root / "plugins" / "loss"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "slow.py").write_text(LOSS)
    return folder / "slow"


def oof(root: Path, name: str) -> np.ndarray:
    """The out-of-fold probabilities of a run."""
    return Predictions.read(root / "runs" / name / "predictions" / "plain" / "oof.parquet").probabilities


def check_deadline(root: Path, executor: str) -> None:
    """Folds of an executor stop at the deadline, and end with the bits of a run that nothing stopped."""
    slow = add_slow_loss(root)
    train(root, ["loss=slow"], name="whole")
    workspace = Workspace.open(root, ["loss=slow", f"executor={executor}"])
    slow.touch()
    with pytest.raises(StoppedError, match="R27 the time is over") as caught:
        train_run(workspace, "r", stop=Stop(deadline=Deadline(SECONDS)))
    assert caught.value.exit_code == 6
    assert not (root / "runs" / "r" / "predictions").exists()
    slow.unlink()
    train_run(workspace, "r")
    assert np.array_equal(oof(root, "r"), oof(root, "whole"))
