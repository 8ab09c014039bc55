"""kit init finds in stand-ins of real competitions what their tables mean, the metric and the format."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

from kit.commands.init import command
from kit.config.models import Data
from kit.config.workspace import Workspace
from kit.data.table import test_table, train_table
from kit.stages.discovery.discover import discover
from tests.drawn_competitions import COMPETITIONS, StandIn
from tests.drawn_tables import make


@pytest.mark.parametrize("competition", COMPETITIONS.values(), ids=list(COMPETITIONS))
def test_kit_init_reads_a_competition_as_its_page_does(competition: StandIn, tmp_path: Path) -> None:
    make(tmp_path, competition.files, competition.images)
    given = [
        word for key, value in competition.given.items() for word in (f"--{key.replace('_', '-')}", value)
    ]
    result = CliRunner().invoke(command, [str(tmp_path), "--recipe", "scratch", "--json", *given])
    assert result.exit_code == 0, result.output
    written, shown = Workspace.open(tmp_path).competition, json.loads(result.stdout)
    data = written.data.model_dump(mode="json")
    assert {key: data[key] for key in competition.data} == competition.data
    assert written.metric == competition.metric
    assert written.format is None
    assert shown["format"] == competition.format, result.stderr
    assert f"metric: {competition.metric['name']}" in result.stderr
    if competition.format is not None:
        assert f"\nformat: {competition.format} " in result.stderr


@pytest.mark.parametrize("name", ["Planet", "Happywhale", "ISIC 2019", "iWildCam", "Hotel-ID"])
def test_what_is_found_can_be_read(name: str, tmp_path: Path) -> None:
    competition = COMPETITIONS[name]
    make(tmp_path, competition.files, competition.images)
    data = Data(**discover(tmp_path, competition.given).data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train = train_table(tmp_path, data)
        assert len(train) == 24
        assert len(test_table(tmp_path, data, train.classes)) == 8
