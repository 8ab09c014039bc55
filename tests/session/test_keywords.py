"""Keywords are the overrides of the command line, and unknown ones name the nearest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.config.workspace import Workspace
from kit.errors import ConfigError
from kit.session.keywords import as_overrides
from tests.written_runs import competition


@pytest.mark.parametrize(
    ("keywords", "overrides"),
    [
        ({"epochs": 20}, ["epochs=20"]),
        ({"optimizer": {"lr": 1e-3}}, ["optimizer.lr=0.001"]),
        ({"loss": "focal"}, ['loss="focal"']),
        (
            {"loss": {"base": {"name": "arcface", "margin": 0.3}, "name": "cutmix"}},
            ['loss="cutmix"', 'loss.base="arcface"', "loss.base.margin=0.3"],
        ),
        ({"backbone": "resnet18"}, ['backbone="timm"', 'backbone.arch="resnet18"']),
        ({"backbone": "small"}, ['backbone="small"']),
        ({"backbone": {"drop_path": 0.1}}, ["backbone.drop_path=0.1"]),
        (
            {"data": {"label_from": {"rename": {"a": "b"}}, "id": "name"}},
            ['data.label_from={"rename": {"a": "b"}}', 'data.id="name"'],
        ),
        ({"data": {"label": "7"}}, ['data.label="7"']),
        ({"optimizer.lr": 1e-3}, ["optimizer.lr=0.001"]),
        ({"lr_scales": {"head": 10.0}}, ['lr_scales={"head": 10.0}']),
        ({"tracker": None}, ["tracker=null"]),
        ({"stages": [{"epochs": 2}]}, ['stages=[{"epochs": 2}]']),
        ({"image_size": np.int64(64)}, ["image_size=64"]),
        ({"init_from": Path("runs/a")}, ['init_from="runs/a"']),
        ({"backbone": {"weights": Path("w.pth")}}, ['backbone.weights="w.pth"']),
    ],
    ids=str,
)
def test_keywords_are_overrides(keywords: dict[str, Any], overrides: list[str], tmp_path: Path) -> None:
    assert as_overrides(keywords, (), tmp_path) == overrides


def test_a_text_stays_a_text(tmp_path: Path) -> None:
    space = competition(tmp_path)
    label = as_overrides({"data": {"label": "7"}}, (), tmp_path)
    assert Workspace.of(space, label).competition.data.label == "7"


def test_a_dict_keeps_the_options_that_it_omits(tmp_path: Path) -> None:
    space = competition(tmp_path, optimizer={"name": "adamw", "weight_decay": 0.5})
    changed = Workspace.of(space, as_overrides({"optimizer": {"lr": 0.25}}, (), tmp_path))
    assert changed.experiment.optimizer == {"name": "adamw", "weight_decay": 0.5, "lr": 0.25}
    other = Workspace.of(space, as_overrides({"optimizer": {"name": "sgd", "lr": 0.25}}, (), tmp_path))
    assert other.experiment.optimizer == {"name": "sgd", "lr": 0.25}


@pytest.mark.parametrize(
    ("name", "meant"), [("epoch", "epochs"), ("fold", "folds"), ("optimiser", "optimizer"), ("nonsense", "")]
)
def test_an_unknown_keyword_names_the_nearest(name: str, meant: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        as_overrides({name: 1}, ("folds", "seeds"), tmp_path)
    assert caught.value.code == "C01"
    assert (f"did you mean {meant!r}?" in str(caught.value)) == bool(meant)


def test_a_value_that_json_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"loss\.margin: object is not a value"):
        as_overrides({"loss": {"margin": object()}}, (), tmp_path)
