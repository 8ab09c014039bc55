"""Stand-ins of competitions with one answer for several images are entered from kit init to a valid submission."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.stages.blending.blend import Submitted, blend
from kit.stages.discovery.initialise import initialise
from kit.stages.prediction.tta import tta
from kit.stages.submission.validation import check_submission
from kit.stages.training.train import train
from tests.drawn_competitions import COMPETITIONS
from tests.drawn_groups import GROUPED
from tests.drawn_tables import make
from tests.stages.test_metric_competitions import TINY, draw

ENTERED = {**GROUPED, "Mayo Clinic STRIP AI": COMPETITIONS["Mayo Clinic STRIP AI"]}


@pytest.fixture(scope="module", autouse=True)
def entered() -> Iterator[dict[str, str]]:
    """The competitions that were entered, and their answers; the table is printed at the end."""
    found: dict[str, str] = {}
    yield found
    for name, words in found.items():
        print(f"{name}: kit init, no option; {words}")
    print(f"{len(found)} of {len(ENTERED)} competitions entered")


@pytest.mark.parametrize("name", ENTERED)
def test_a_competition_of_groups_is_entered_by_kit_init_alone(
    name: str, tmp_path: Path, entered: dict[str, str]
) -> None:
    competition = ENTERED[name]
    make(tmp_path, competition.files)
    draw(tmp_path, competition.images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = initialise(tmp_path, "scratch", competition.given)
        space = Workspace.open(tmp_path)
        data = space.competition.data.model_dump(mode="json")
        run = train(tmp_path, TINY, name="a")
        tta(tmp_path, [run.folder], views="plain")
        written = blend(tmp_path, ["runs/a@plain"])
        assert isinstance(written, Submitted)
        assert check_submission(space, written.path).faults == ()
    assert {key: data[key] for key in competition.found} == competition.found
    assert made.metric == competition.metric
    assert written.format == competition.format
    sample = pd.read_csv(space.path(data["sample"]), dtype=str)
    assert pd.read_csv(written.path, dtype=str).iloc[:, 0].tolist() == sample.iloc[:, 0].tolist()
    images = len(Predictions.read(run.folder / "predictions/plain/oof.parquet"))
    assert written.rows < images
    entered[name] = f"data.answer={data['answer']}: {images} images, {written.rows} answers; valid"
