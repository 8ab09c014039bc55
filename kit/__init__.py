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
    "blend": "kit.stages.blending.blend",
    "Board": "kit.stages.submission.board",
    "Competition": "kit.config.models",
    "Experiment": "kit.config.models",
    "KitError": "kit.errors",
    "KitWarning": "kit.errors",
    "Folds": "kit.data.folds",
    "make_folds": "kit.data.folds",
    "KINDS": "kit.kinds",
    "Predictions": "kit.data.predictions",
    "finish": "kit.core.progress",
    "pseudo": "kit.stages.pseudo_labelling.pseudo",
    "initialise": "kit.stages.discovery.initialise",
    "Run": "kit.runs.run",
    "Table": "kit.data.table",
    "test_table": "kit.data.table",
    "train_table": "kit.data.table",
    "train": "kit.stages.training.train",
    "tta": "kit.stages.prediction.tta",
    "Workspace": "kit.config.workspace",
}

__all__ = [
    "KINDS", "Board", "Competition", "Experiment", "Folds", "KitError", "KitWarning", "Predictions", "Run", "Table",
    "Workspace", "blend", "finish", "initialise", "make_folds", "pseudo", "test_table", "train", "train_table", "tta",
]  # fmt: skip


if not TYPE_CHECKING:  # a type checker sees the imports above, and a wrong name is an error there

    def __getattr__(name: str) -> Any:
        if name not in PUBLIC:
            raise AttributeError(f"module 'kit' has no attribute {name!r}")
        return getattr(importlib.import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
