"""A workspace with a trained run, copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kit.train import train
from tests.drawing import draw_competition


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = draw_competition(tmp_path_factory.mktemp("runs") / "space")
    train(root, name="a")
    return root


@pytest.fixture
def space(trained_once: Path, tmp_path: Path) -> Path:
    """A copy of a workspace with the run `a`: 2 folds, 2 epochs."""
    return Path(shutil.copytree(trained_once, tmp_path / "space"))
