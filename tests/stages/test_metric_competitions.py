"""Stand-ins of competitions that need a metric only are entered from kit init to a valid submission."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kit.config.workspace import Workspace
from kit.stages.blending.blend import Submitted, blend
from kit.stages.discovery.initialise import initialise
from kit.stages.prediction.tta import tta
from kit.stages.submission.validation import check_submission
from kit.stages.training.train import train
from tests.drawn_competitions import COMPETITIONS
from tests.drawn_tables import make

SIDE = 12
TINY = [
    "backbone=small", "backbone.width=4", "backbone.stages=1", f"image_size={SIDE}", f"cache_size={SIDE}", "epochs=1",
    "splitter.folds=2", "batch_size=12", "workers=0", "augmenter=flips",
]  # fmt: skip
# what a team gives to kit init --metric, and the file that it gets
METRICS = {
    "Diabetic Retinopathy Detection": "QWK",
    "APTOS 2019": "quadratic weighted kappa",
    "Planet": "fbeta beta=2 average=samples",
    "iMet 2020": "micro F1",
    "Plant Pathology 2021": "micro F1",
    "Plant Seedlings": "micro F1",
    "DACON wallpaper": "weighted F1",
    "UBC-OCEAN": "balanced_accuracy",
    "ISIC 2019": "balanced accuracy",
    "ISIC 2024": "pAUC",
    "DFUC 2021": "macro F1",
}


@pytest.fixture(scope="module", autouse=True)
def entered() -> Iterator[dict[str, str]]:
    """The competitions that were entered, with the options that they needed; the table is printed at the end."""
    found: dict[str, str] = {}
    yield found
    for name, words in found.items():
        print(f"{name}: kit init --metric {words}")
    print(f"{len(found)} of {len(METRICS)} competitions entered")


@pytest.mark.parametrize("name", METRICS)
def test_a_competition_is_entered_with_its_metric_alone(
    name: str, tmp_path: Path, entered: dict[str, str]
) -> None:
    competition = COMPETITIONS[name]
    make(tmp_path, competition.files)
    draw(tmp_path, competition.images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = initialise(tmp_path, "scratch", competition.given, metric=METRICS[name])
        run = train(tmp_path, TINY, name="a")
        tta(tmp_path, [run.folder], views="plain")
        written = blend(tmp_path, ["runs/a@plain"])
        space = Workspace.open(tmp_path)
        if isinstance(written, Submitted):
            assert check_submission(space, written.path).faults == ()
    assert isinstance(written, Submitted) is (competition.format is not None)
    metric = space.competition.metric
    assert metric == made.metric
    assert written.metric == metric["name"]
    assert json.loads((run.folder / "config.json").read_text())["metric"]["name"] == metric["name"]
    entered[name] = f"{METRICS[name]!r}, {'valid' if competition.format else 'scored; it has no sample'}"


def draw(root: Path, images: list[str]) -> None:
    """A tiny picture of noise for each path, with the format of its ending."""
    rng = np.random.default_rng(0)
    for name in images:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(file)
