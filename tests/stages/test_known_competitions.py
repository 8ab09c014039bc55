"""Stand-ins of known competitions are entered by stock commands, from kit init to a valid submission."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from kit.config.workspace import Workspace
from kit.stages.blending.blend import Submitted, blend
from kit.stages.discovery.initialise import initialise
from kit.stages.prediction.tta import tta
from kit.stages.submission.validation import check_submission
from kit.stages.training.train import train
from tests.drawn_competitions import COMPETITIONS
from tests.drawn_known import KNOWN, Known
from tests.entering import TINY, enter

# what a team gives to kit init --metric; None: the metric that kit init finds
PLAIN = {
    "National Data Science Bowl": None,
    "State Farm Distracted Driver": None,
    "Leaf Classification": None,
    "Invasive Species": None,
    "Camera Model": "accuracy",
    "Dog Breed": None,
    "Humpback Whale": None,
    "Aerial Cactus": None,
    "Plant Pathology 2020": "auc",
    "Cassava": "accuracy",
    "Hotel-ID": None,
    "Happywhale": None,
    "Paddy Doctor": "accuracy",
    "Naive Bees": None,
}


@pytest.mark.filterwarnings("ignore::kit.errors.KitWarning")
@pytest.mark.parametrize("name", PLAIN)
def test_a_competition_of_image_files_is_entered(name: str, tmp_path: Path) -> None:
    competition = COMPETITIONS[name]
    one = enter(tmp_path, competition, PLAIN[name])
    assert one.submitted.format == competition.format
    assert one.submitted.metric == one.init_result.metric["name"]


@pytest.mark.parametrize("name", KNOWN)
def test_a_competition_that_needs_more_is_entered(name: str, tmp_path: Path) -> None:
    competition = KNOWN[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        configure(tmp_path, competition)
        run = train(tmp_path, TINY, name="a")
        tta(tmp_path, [run.folder], views="plain")
        submission = blend(tmp_path, ["runs/a@plain"])
    assert isinstance(submission, Submitted)
    space = Workspace.open(tmp_path)
    assert check_submission(space, submission.path).faults == ()
    assert submission.format == competition.format
    assert submission.metric == space.competition.metric["name"]


def configure(root: Path, competition: Known) -> None:
    """Draws the files and writes config.json."""
    files = root / "files" if competition.apart else root
    files.mkdir(exist_ok=True)
    competition.draw(files)
    file, written = root / "config.json", {}
    if "data" not in competition.config:
        result = initialise(
            root,
            "scratch",
            competition.given,
            metric=competition.metric,
            source=files if competition.apart else None,
        )
        written = json.loads(result.path.read_text())
    config: dict[str, Any] = {**written, **competition.config}
    config["data"] = {**config["data"], **competition.data}
    file.write_text(json.dumps(config))
