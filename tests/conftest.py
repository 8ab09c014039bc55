"""Fixtures for all tests: no network, one thread, a small competition of drawn images."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import LACKING
from tests.drawing import draw_competition
from tests.planted_predictions import mixed, plant, surer, unlike

if TYPE_CHECKING:
    from kit.config.workspace import Workspace

Kit = Callable[..., tuple[int, str, str]]
LOCAL_SERVERS: set[object] = set()  # addresses of servers that a test has started

# Files of few, long tests, the longest first. They start commands and wait for them. pytest-xdist gives a file to one
# process, and by default begins with the files of most tests: one of these, begun last, would be waited for alone.
LONG_FILES = (
    "device/test_several_ranks.py",
    "plugins/executor/test_ray.py",
    "stages/training/test_parallel.py",
    "faults/test_crashing.py",
    "docs/test_notebooks.py",
    "core/test_without_posix.py",
    "stages/profiling/test_loader_speed.py",
    "stages/checks/test_scenes.py",
    "engine/test_out_of_memory.py",
    "faults/test_full_disk.py",
    "stages/training/test_deadline.py",
    "stages/training/test_processes.py",
    "session/test_kernel.py",
    "stages/prediction/test_parallel.py",
    "session/test_session.py",
    "session/test_stages.py",
    "core/test_stopping.py",
    "engine/test_resume.py",
    "stages/training/test_sweep.py",
    "device/test_device_line.py",
    "docs/test_tutorial.py",
    "plugins/backbone/test_families.py",
    "plugins/tracker/test_wandb.py",
)

# networks of tests are too small to gain from threads, and lose much when another process holds a core
os.environ.setdefault("OMP_NUM_THREADS", "1")
# tests promise equal bits, which only a CPU gives; KIT_GPU_TESTS=1 leaves the GPU to tests/device/test_cuda.py
if not os.environ.get("KIT_GPU_TESTS"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection but a local one fails, so that nothing fetched can make a test pass."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: object) -> object:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address not in LOCAL_SERVERS:
            raise OSError(f"tests do not connect to {address}")
        return connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def competition(tmp_path: Path) -> Path:
    """A workspace: 60 training and 12 test images of 3 classes, a small network, 2 folds, 2 epochs."""
    return draw_competition(tmp_path / "space")


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Steps into a folder for the rest of the test, as a user's shell would."""
    return monkeypatch.chdir


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn competition with the finished run `a`, trained once for all tests; `space` is a copy to write in."""
    from kit.stages.training.train import train

    root = draw_competition(tmp_path_factory.mktemp("trained") / "space")
    train(root, name="a")
    return root


@pytest.fixture
def space(trained_once: Path, tmp_path: Path) -> Path:
    """A copy of a workspace with the run `a`: 2 folds, 2 epochs."""
    return Path(shutil.copytree(trained_once, tmp_path / "space"))


@pytest.fixture(scope="session")
def school_once(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace with the teachers `a` and `b`, which says the same and is surer; test rows are of all classes."""
    from kit.stages.prediction.tta import tta

    root = Path(shutil.copytree(trained_once, tmp_path_factory.mktemp("school") / "space"))
    unlike(root)
    tta(root, ["runs/a"], rows="both")
    plant(root, "test", mixed)
    shutil.copytree(root / "runs" / "a", root / "runs" / "b")
    for split in ("oof", "test"):
        plant(root, split, surer, "b")
    return root


@pytest.fixture
def school(school_once: Path, tmp_path: Path) -> Path:
    """A copy of the workspace of teachers `a` and `b`, whose test images look like no other image."""
    return Path(shutil.copytree(school_once, tmp_path / "space"))


@pytest.fixture
def kit(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kit:
    """Runs a command in the module's workspace and returns its exit status, stdout and stderr."""
    from kit.commands._menu import run

    monkeypatch.chdir(workspace.root)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run(list(arguments))
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves the long files to the front; the order within a file stays."""
    tests = Path(__file__).parent
    places = {tests / name: place for place, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says loudly, at the end, what a missing browser left untested."""
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum(LACKING in str(report.longrepr) for report in skipped)
    if count:
        terminalreporter.write_sep("!", f"{count} tests SKIPPED: {LACKING}", red=True, bold=True)
