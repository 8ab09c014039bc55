"""kit: image-classification competitions, from a folder of images to a ranked leaderboard submission.

    import kit
    comp = kit.open("my-competition")
    run = comp.train("r", backbone="resnet18", epochs=20)
    comp.tta(run, views="d4")
    comp.blend("runs/r@d4")

Each name below is a public function or class; its module is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kit.config.models import Competition, Experiment
    from kit.config.workspace import Workspace
    from kit.data.folds import Folds, make_folds
    from kit.data.predictions import Predictions
    from kit.data.table import Table, test_table, train_table
    from kit.errors import KitError, KitWarning
    from kit.kinds import KINDS
    from kit.runs.run import Run
    from kit.session.calls import Interrupted
    from kit.session.init import init
    from kit.session.session import Session, open  # noqa: A004 - `kit.open`
    from kit.stages.submission.board import Board

__version__ = "0.1.0"

PUBLIC = {
    "Board": "kit.stages.submission.board",
    "Competition": "kit.config.models",
    "Experiment": "kit.config.models",
    "KitError": "kit.errors",
    "KitWarning": "kit.errors",
    "Folds": "kit.data.folds",
    "make_folds": "kit.data.folds",
    "KINDS": "kit.kinds",
    "Predictions": "kit.data.predictions",
    "Run": "kit.runs.run",
    "Table": "kit.data.table",
    "test_table": "kit.data.table",
    "train_table": "kit.data.table",
    "Workspace": "kit.config.workspace",
    "Session": "kit.session.session",
    "open": "kit.session.session",
    "init": "kit.session.init",
    "Interrupted": "kit.session.calls",
}

__all__ = [
    "KINDS", "Board", "Competition", "Experiment", "Folds", "Interrupted", "KitError", "KitWarning", "Predictions",
    "Run", "Session", "Table", "Workspace", "init", "make_folds", "open", "test_table", "train_table",
]  # fmt: skip


if not TYPE_CHECKING:  # a type checker sees the imports above, and a wrong name is an error there

    def __getattr__(name: str) -> Any:
        if name not in PUBLIC:
            raise AttributeError(f"module 'kit' has no attribute {name!r}")
        return getattr(importlib.import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
