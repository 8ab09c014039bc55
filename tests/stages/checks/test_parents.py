"""Parents of classes that neither a loss nor the metric uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.config.workspace import Workspace
from kit.data.table import Table
from kit.kinds.levels import Level
from kit.stages.checks.parents import check_parents_used

STAGES = [{"epochs": 1}, {"epochs": 1, "loss": {"name": "levels"}}]


@pytest.mark.parametrize(
    ("config", "codes"),
    [
        ({}, ["K52"]),
        ({"loss": {"name": "mixup", "base": "focal"}}, ["K52"]),
        ({"loss": {"name": "mixup", "base": "level_heads"}}, []),
        ({"metric": {"name": "mean", "of": ["accuracy", {"name": "level", "of": "macro_f1"}]}}, []),
        ({"stages": STAGES, "epochs": 2}, []),
    ],
)
def test_parents_without_a_use_are_named(tmp_path: Path, config: dict[str, Any], codes: list[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    ids, tree = np.array(list("abc")), (Level("genus", ("x", "x", "y")),)
    train = Table(ids, [Path(name) for name in ids], ("1", "2", "3"), np.arange(3), class_levels=tree)
    findings = list(check_parents_used(Workspace.open(tmp_path), train))
    assert [one.code for one in findings] == codes
    assert all("(genus)" in one.summary for one in findings)


def test_classes_without_parents_are_no_finding(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    train = Table(np.array(["a"]), [Path("a")], ("1",), np.zeros(1, int))
    assert list(check_parents_used(Workspace.open(tmp_path), train)) == []
