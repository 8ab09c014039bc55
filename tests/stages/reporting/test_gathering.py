"""What is gathered: settings that differ, weights of a blend, pictures of cases, and files that say odd things."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.errors import Case
from kit.stages.checks.finding import Finding
from kit.stages.reporting.album import Album
from kit.stages.reporting.blends import weights_of
from kit.stages.reporting.facts import as_json
from kit.stages.reporting.findings import Files, cases_with_rows, finding_row
from kit.stages.reporting.runs import find_differing_settings
from tests.stages.reporting.test_report import reported

Step = Callable[[Path], None]


def test_only_settings_in_which_runs_differ_are_shown_as_typed() -> None:
    same = {"epochs": 20, "loss": {"name": "arcface", "base": {"name": "focal", "gamma": 2}}}
    other = {"epochs": 20, "loss": {"name": "focal", "gamma": 2}, "seed": 1}
    assert find_differing_settings([same, other, same]) == [
        {"loss": "arcface", "loss.base": "focal", "loss.base.gamma": "2"},
        {"loss": "focal", "loss.gamma": "2", "seed": "1"},
        {"loss": "arcface", "loss.base": "focal", "loss.base.gamma": "2"},
    ]
    assert find_differing_settings([same]) == [{}]
    soup = {"soup": ["a", "b"], "greedy": True}
    bare = {**same, "untrained": True}
    assert find_differing_settings([same, same, soup, bare]) == [
        {},
        {},
        {"greedy": "True", "soup": "['a', 'b']"},
        {"untrained": "True"},
    ]


@pytest.mark.parametrize(
    ("recipe", "weights"),
    [
        ({"name": "mean"}, [0.5, 0.5]),
        ({"name": "weighted", "weights": [3, 1]}, [0.75, 0.25]),
        ({"name": "class_factors", "base": {"name": "simplex", "weights": [1, 1]}}, [0.5, 0.5]),
        ({"name": "auto", "chosen": {"name": "hill_climb", "weights": [0, 2]}}, [0, 1]),
        ({"name": "stacking", "weights": [[1, 2], [3, 4]]}, [None, None]),
        ({}, [None, None]),
    ],
)
def test_weights_are_those_of_the_recipe_or_of_the_one_within(
    recipe: dict[str, Any], weights: list[Any]
) -> None:
    assert weights_of(recipe, 2) == weights


def test_the_rows_that_a_case_names_are_shown_beside_each_other() -> None:
    files = Files({name: Path(name) for name in ("a", "b", "c (odd)", "d")})
    cases = (
        Case("a = b"),
        Case("a (cat) = c (odd) (dog)"),
        Case("train d = test b"),
        Case("3 x 900 pixels", id="d"),
        Case("20 rows", "class"),
    )
    finding = Finding("K05", "problem", "summary", "effect", "answer", cases)
    named = cases_with_rows(finding, files)
    assert [ids for _, ids in named] == [["a", "b"], ["a", "c (odd)"], ["d", "b"], ["d"]]
    images = {name: np.zeros((9, 9, 3), np.uint8) for name in ("a", "b", "d")}
    row = finding_row(finding, named, images, Album())
    assert [len(case.pictures) for case in row.shown_cases] == [2, 1, 2, 1]
    assert row.shown_cases[0].text == "a = b"
    assert len(row.cases) == 5


def test_a_number_that_is_none_is_null() -> None:
    assert as_json({"a": (math.nan, 1.5), "b": math.inf}) == {"a": [None, 1.5], "b": None}


def test_files_that_say_odd_things_are_no_traceback(space: Path, inside: Step) -> None:
    run = space / "runs" / "a"
    (run / "manifest.json").write_text(json.dumps({"asked": 5, "started": None}))
    (run / "fold-0" / "log.jsonl").write_text(
        '{"epoch": 1, "lr": "x", "train_loss": NaN, "macro_f1": [1], "images_per_second": Infinity}\n'
        '{"epoch": -1.5, "lr": 1}\n'
    )
    (run / "fold-1" / "log.jsonl").write_text("no json")
    (space / "runs" / "b").mkdir()
    (space / "runs" / "b" / "config.json").write_text('{"image_size": "large", "backbone": 7}')
    (space / "submissions").mkdir()
    columns = "number,name,file,cv,metric,better,leaderboard,members,ensembler,rows,created,notes"
    (space / "submissions" / "board.csv").write_text(
        f"{columns}\n1,m,1-m.csv,nan,macro_f1,higher,inf,a@no b@no,mean,5,2026,\n"
    )
    inside(space)
    report = reported(space, "--no-check")
    assert report["runs"][0]["differs"] == {}
    assert report["board"]["submissions"][0]["cv"] is None
    assert report["blend"]["hint"]
