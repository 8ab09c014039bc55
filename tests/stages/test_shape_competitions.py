"""Stand-ins of competitions with tables of other shapes are entered from kit init to a valid submission."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.config.workspace import Workspace
from kit.stages.blending.blend import Submitted, blend
from kit.stages.discovery.initialise import initialise
from kit.stages.prediction.tta import tta
from kit.stages.submission.validation import check_submission
from kit.stages.training.train import train
from tests.drawn_shapes import SHAPES
from tests.drawn_tables import make
from tests.stages.test_metric_competitions import TINY, draw

ENTERED = [name for name, shape in SHAPES.items() if shape.format and name != "two versions"]


@pytest.fixture(scope="module", autouse=True)
def valid() -> Iterator[list[str]]:
    """The stand-ins that were entered; the table is printed at the end."""
    found: list[str] = []
    yield found
    for name in found:
        print(f"{name}: kit init, valid")
    print(f"{len(found)} of {len(ENTERED)} shapes entered")


@pytest.mark.parametrize("name", ENTERED)
def test_a_competition_is_entered_by_kit_init_alone(name: str, tmp_path: Path, valid: list[str]) -> None:
    shape = SHAPES[name]
    make(tmp_path, shape.files)
    draw(tmp_path, shape.images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        initialise(tmp_path, "scratch", shape.given)
        run = train(tmp_path, TINY, name="a")
        tta(tmp_path, [run.folder], views="plain")
        written = blend(tmp_path, ["runs/a@plain"])
    assert isinstance(written, Submitted)
    assert check_submission(Workspace.open(tmp_path), written.path).faults == ()
    valid.append(name)
