"""Stand-ins of competitions with one answer for several images are entered from kit init to a valid submission."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from kit.data.predictions import Predictions
from tests.drawn_competitions import COMPETITIONS
from tests.drawn_groups import GROUPED
from tests.entering import enter

ENTERED = {**GROUPED, "Mayo Clinic STRIP AI": COMPETITIONS["Mayo Clinic STRIP AI"]}


@pytest.fixture(scope="module", autouse=True)
def entered() -> Iterator[dict[str, str]]:
    """The competitions that were entered, and their answers; the table is printed at the end."""
    data_keys: dict[str, str] = {}
    yield data_keys
    for name, words in data_keys.items():
        print(f"{name}: kit init, no option; {words}")
    print(f"{len(data_keys)} of {len(ENTERED)} competitions entered")


@pytest.mark.parametrize("name", ENTERED)
def test_a_competition_of_groups_is_entered_by_kit_init_alone(
    name: str, tmp_path: Path, entered: dict[str, str]
) -> None:
    competition = ENTERED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = enter(tmp_path, competition)
        written, data = one.submitted, one.space.competition.data.model_dump(mode="json")
    assert {key: data[key] for key in competition.data} == competition.data
    assert one.init_result.metric == competition.metric
    assert written.format == competition.format
    sample = pd.read_csv(one.space.path(data["sample"]), dtype=str)
    assert pd.read_csv(written.path, dtype=str).iloc[:, 0].tolist() == sample.iloc[:, 0].tolist()
    images = len(Predictions.read(one.run.folder / "predictions/plain/oof.parquet"))
    assert written.rows < images
    entered[name] = f"data.answer={data['answer']}: {images} images, {written.rows} answers; valid"
