"""Stand-ins of competitions with answers of other forms are entered from kit init to a valid submission."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.data.table import test_table
from tests.drawn_answers import ANSWERS
from tests.drawn_competitions import TESTS
from tests.entering import enter


@pytest.fixture(scope="module", autouse=True)
def entered() -> Iterator[dict[str, str]]:
    """The competitions that were entered, with the options that they needed; the table is printed at the end."""
    data_keys: dict[str, str] = {}
    yield data_keys
    for name, words in data_keys.items():
        print(f"{name}: kit init {words}")
    print(f"{len(data_keys)} of {len(ANSWERS)} competitions entered")


@pytest.mark.parametrize("name", ANSWERS)
def test_a_competition_is_entered(name: str, tmp_path: Path, entered: dict[str, str]) -> None:
    competition = ANSWERS[name]
    entry = enter(tmp_path, competition)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = entry.space.competition.data.model_dump(mode="json")
        assert {key: data[key] for key in competition.data} == competition.data
        assert entry.init_result.metric == competition.metric
        assert len(test_table(entry.space)) == TESTS
        assert entry.submitted.format == competition.format
    entered[name] = " ".join(f"--{key} {value}" for key, value in competition.given.items()) or "alone, valid"
