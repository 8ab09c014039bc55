"""Stand-ins of competitions played from kit init to a blend, with a tiny network."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from kit.config.workspace import Workspace
from kit.runs.run import Run
from kit.stages.blending.blend import BlendResult, Submitted, blend
from kit.stages.blending.unscored import UnscoredSubmission
from kit.stages.discovery.initialise import InitResult, initialise
from kit.stages.prediction.tta import tta
from kit.stages.submission.validation import check_submission
from kit.stages.training.train import train
from tests.drawn_competitions import StandIn
from tests.drawn_tables import make

SIDE = 12
TINY = [
    "backbone=small", "backbone.width=4", "backbone.stages=1", f"image_size={SIDE}", f"cache_size={SIDE}", "epochs=1",
    "splitter.folds=2", "batch_size=12", "workers=0", "augmenter=flips",
]  # fmt: skip


@dataclass(frozen=True)
class Entered:
    """What kit init found, the run, and the blend of its plain predictions."""

    init_result: InitResult
    space: Workspace
    run: Run
    written: BlendResult | UnscoredSubmission

    @property
    def submitted(self) -> Submitted:
        """The submission, which is valid."""
        assert isinstance(self.written, Submitted)
        assert check_submission(self.space, self.written.path).faults == ()
        return self.written


def enter(root: Path, competition: StandIn, metric: str | None = None) -> Entered:
    """Draws a stand-in, and enters it with `metric` for kit init --metric."""
    make(root, competition.files)
    draw(root, competition.images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        init_result = initialise(root, "scratch", competition.given, metric=metric)
        run = train(root, TINY, name="a")
        tta(root, [run.folder], views="plain")
        return Entered(init_result, Workspace.open(root), run, blend(root, ["runs/a@plain"]))


def draw(root: Path, images: list[str]) -> None:
    """A tiny picture of noise for each path, with the format of its ending."""
    rng = np.random.default_rng(0)
    for name in images:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(file)
