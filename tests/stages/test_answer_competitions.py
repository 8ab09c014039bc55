"""Stand-ins of competitions with answers of other forms are entered from kit init to a valid submission."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.config.workspace import Workspace
from kit.data.table import test_table
from kit.stages.blending.blend import Submitted, blend
from kit.stages.discovery.initialise import initialise
from kit.stages.prediction.tta import tta
from kit.stages.submission.validation import check_submission
from kit.stages.training.train import train
from tests.drawn_answers import ANSWERS
from tests.drawn_competitions import TESTS
from tests.drawn_tables import make
from tests.stages.test_metric_competitions import TINY, draw


@pytest.fixture(scope="module", autouse=True)
def entered() -> Iterator[dict[str, str]]:
    """The competitions that were entered, with the options that they needed; the table is printed at the end."""
    found: dict[str, str] = {}
    yield found
    for name, words in found.items():
        print(f"{name}: kit init {words}")
    print(f"{len(found)} of {len(ANSWERS)} competitions entered")


@pytest.mark.parametrize("name", ANSWERS)
def test_a_competition_is_entered(name: str, tmp_path: Path, entered: dict[str, str]) -> None:
    competition = ANSWERS[name]
    make(tmp_path, competition.files)
    draw(tmp_path, competition.images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = initialise(tmp_path, "scratch", competition.given)
        space = Workspace.open(tmp_path)
        data = space.competition.data.model_dump(mode="json")
        assert {key: data[key] for key in competition.found} == competition.found
        assert made.metric == competition.metric
        assert len(test_table(space)) == TESTS
        run = train(tmp_path, TINY, name="a")
        tta(tmp_path, [run.folder], views="plain")
        written = blend(tmp_path, ["runs/a@plain"])
        assert isinstance(written, Submitted)
        assert written.format == competition.format
        assert check_submission(space, written.path).faults == ()
    entered[name] = " ".join(f"--{key} {value}" for key, value in competition.given.items()) or "alone, valid"
