"""Stand-ins of competitions that need a metric only are entered from kit init to a valid submission."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.stages.blending.blend import BlendResult, Submitted
from tests.drawn_competitions import COMPETITIONS
from tests.entering import enter

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
    data_keys: dict[str, str] = {}
    yield data_keys
    for name, words in data_keys.items():
        print(f"{name}: kit init --metric {words}")
    print(f"{len(data_keys)} of {len(METRICS)} competitions entered")


@pytest.mark.parametrize("name", METRICS)
def test_a_competition_is_entered_with_its_metric_alone(
    name: str, tmp_path: Path, entered: dict[str, str]
) -> None:
    competition = COMPETITIONS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = enter(tmp_path, competition, METRICS[name])
        written = one.written
        if isinstance(written, Submitted):
            assert one.submitted is written
    assert isinstance(written, Submitted) is (competition.format is not None)
    metric = one.space.competition.metric
    assert metric == one.init_result.metric
    assert isinstance(written, BlendResult)
    assert written.metric == metric["name"]
    assert json.loads((one.run.folder / "config.json").read_text())["metric"]["name"] == metric["name"]
    entered[name] = f"{METRICS[name]!r}, {'valid' if competition.format else 'scored; it has no sample'}"
