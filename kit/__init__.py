"""kit: image-classification competitions, from a folder of images to a ranked leaderboard submission.

    import kit
    run = kit.train("my-competition", ["backbone.arch=resnet18", "epochs=20"], name="r")
    kit.tta("my-competition", [run.folder], views="d4")
    kit.blend("my-competition", ["runs/r@d4"])

Each name below is a public function or class; its module is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kit.config.models import Competition, Experiment
    from kit.config.workspace import Workspace
    from kit.core.progress import finish
    from kit.data.folds import Folds, make_folds
    from kit.data.predictions import Predictions
    from kit.data.table import Table, test_table, train_table
    from kit.errors import KitError, KitWarning
    from kit.kinds import KINDS
    from kit.runs.run import Run
    from kit.stages.blending.blend import blend
    from kit.stages.discovery.initialise import initialise
    from kit.stages.prediction.tta import tta
    from kit.stages.pseudo_labelling.pseudo import pseudo
    from kit.stages.submission.board import Board
    from kit.stages.training.train import train

__version__ = "0.1.0"

PUBLIC = {
    "blend": "stages.blending.blend",
    "Board": "stages.submission.board",
    "Competition": "config.models",
    "Experiment": "config.models",
    "KitError": "errors",
    "KitWarning": "errors",
    "Folds": "data.folds",
    "make_folds": "data.folds",
    "KINDS": "kinds",
    "Predictions": "data.predictions",
    "finish": "core.progress",
    "pseudo": "stages.pseudo_labelling.pseudo",
    "initialise": "stages.discovery.initialise",
    "Run": "runs.run",
    "Table": "data.table",
    "test_table": "data.table",
    "train_table": "data.table",
    "train": "stages.training.train",
    "tta": "stages.prediction.tta",
    "Workspace": "config.workspace",
}

__all__ = [
    "KINDS", "Board", "Competition", "Experiment", "Folds", "KitError", "KitWarning", "Predictions", "Run", "Table",
    "Workspace", "blend", "finish", "initialise", "make_folds", "pseudo", "test_table", "train", "train_table", "tta",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'kit' has no attribute {name!r}")
    return getattr(importlib.import_module(f"kit.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
