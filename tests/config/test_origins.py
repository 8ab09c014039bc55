"""kit config shows every key with its value, its default and where the value comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from kit.commands.config import command
from kit.config.models import keys
from kit.config.origins import Setting, flatten, settings
from kit.config.schema import SCHEMA_FILE, complete, config_schema
from kit.config.workspace import Workspace

CHOSEN = {
    "epochs": 42,
    "loss": {"name": "cutmix", "probability": 0.5},
    "optimizer": {"name": "adamw", "lr": 0.002},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace as kit init writes it, in which the learning rate was changed later."""
    config = {**CHOSEN, "data": {"train": "train.csv"}, "optimizer": {"name": "adamw", "lr": 0.5}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / SCHEMA_FILE).write_text(json.dumps(config_schema(None, "scratch", CHOSEN)))
    return tmp_path


def by_key(root: Path, *overrides: str) -> dict[str, Setting]:
    return {one.key: one for one in settings(Workspace.open(root, overrides), overrides)}


def test_each_source_is_named(root: Path) -> None:
    by_name = by_key(root, "epochs=3", "loss.base=label_smoothing")
    assert by_name["data.train"] == Setting("data.train", "train.csv", "data/train.csv", "config.json")
    assert by_name["data.id"] == Setting("data.id", "id", "id", "default")
    assert by_name["loss"] == Setting("loss", "cutmix", "cross_entropy", "recipe scratch")
    assert by_name["loss.probability"] == Setting("loss.probability", 0.5, 1.0, "recipe scratch")
    assert by_name["loss.base"] == Setting("loss.base", "label_smoothing", "cross_entropy", "command line")
    assert by_name["loss.base.smoothing"] == Setting("loss.base.smoothing", 0.1, 0.1, "default")
    assert by_name["optimizer.lr"].source == "config.json"
    assert by_name["optimizer"].source == "recipe scratch"
    assert by_name["epochs"] == Setting("epochs", 3, 20, "command line")


def test_an_option_that_is_an_object_has_the_source_of_its_keys(root: Path) -> None:
    by_name = by_key(root, "metric=log_loss", 'metric.class_weights={"cat": 2}')
    assert by_name["metric.class_weights"].source == "command line"
    assert by_name["metric.class_weights"].value == {"cat": 2}
    assert by_key(root, "metric=log_loss")["metric.class_weights"].source == "default"


def test_every_key_and_option_is_shown(root: Path) -> None:
    by_name = by_key(root)
    assert {key.partition(".")[0] for key in by_name} == set(keys())
    whole = flatten(complete(Workspace.open(root)))
    assert {key: one.value for key, one in by_name.items()} == whole


def test_the_environment_replaces_the_cache_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_CACHE", "/elsewhere")
    assert by_key(root)["cache_folder"] == Setting("cache_folder", "/elsewhere", "cache", "KIT_CACHE")


def test_a_workspace_without_a_schema_file_has_no_recipe(root: Path) -> None:
    (root / SCHEMA_FILE).unlink()
    assert {one.source for one in by_key(root).values()} == {"default", "config.json"}


def test_the_command_prints_a_line_for_each_key(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    lines = CliRunner().invoke(command, []).stdout.splitlines()
    assert lines[0].split() == ["key", "value", "default", "from"]
    assert ["epochs", "42", "20", "recipe", "scratch"] in [line.split() for line in lines]
    lines = CliRunner().invoke(command, ["show", "epochs=3"]).stdout.splitlines()
    assert ["epochs", "3", "20", "command", "line"] in [line.split() for line in lines]
