"""kit: image-classification competitions, from a folder of images to a ranked leaderboard submission.

    import kit
    run = kit.train("my-competition", ["backbone.arch=resnet18", "epochs=20"], name="r")
    kit.tta("my-competition", [run.folder], views="d4")
    kit.blend("my-competition", ["runs/r@d4"])

Each name below is a public function or class; its module is imported when it is first used.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kit.blend import blend
    from kit.board import Board
    from kit.config import Competition, Experiment
    from kit.discovery.initialise import initialise
    from kit.errors import KitError, KitWarning
    from kit.folds import Folds, make_folds
    from kit.kinds import KINDS
    from kit.predictions import Predictions
    from kit.progress import finish
    from kit.pseudo import pseudo
    from kit.runs.run import Run
    from kit.table import Table, test_table, train_table
    from kit.train import train
    from kit.tta import tta
    from kit.workspace import Workspace

__version__ = "0.1.0"

PUBLIC = {
    "blend": "blend", "Board": "board", "Competition": "config", "Experiment": "config", "KitError": "errors",
    "KitWarning": "errors", "Folds": "folds", "make_folds": "folds", "KINDS": "kinds", "Predictions": "predictions",
    "finish": "progress", "pseudo": "pseudo", "initialise": "discovery.initialise", "Run": "runs.run", "Table": "table",
    "test_table": "table", "train_table": "table", "train": "train", "tta": "tta", "Workspace": "workspace",
}  # fmt: skip

__all__ = [
    "KINDS", "Board", "Competition", "Experiment", "Folds", "KitError", "KitWarning", "Predictions", "Run", "Table",
    "Workspace", "blend", "finish", "initialise", "make_folds", "pseudo", "test_table", "train", "train_table", "tta",
]  # fmt: skip


class _Package(ModuleType):
    """Keeps `kit.train` the function: importing the module kit/train.py would put itself in its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'kit' has no attribute {name!r}")
    return getattr(importlib.import_module(f"kit.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
