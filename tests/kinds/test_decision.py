"""The decision rule for several labels a row: by hand, and its one place in config.json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.data.table import read_labelled_rows
from kit.errors import ConfigError, KitWarning
from kit.evaluation.competition import check_scoring, decision_of, explain_decision, metric_of
from kit.kinds.decision import Decision, upgrade_record
from kit.stages.training.train import train

SHARES = np.array([[0.6, 0.2, 0.5], [0.1, 0.4, 0.3], [0.2, 0.2, 0.1]])


def given(rule: Decision) -> list[list[int]]:
    rows: list[list[int]] = rule.assign_labels(SHARES).astype(int).tolist()
    return rows


def test_labels_that_reach_the_threshold_are_given_and_the_most_probable_ones_fill_up() -> None:
    assert given(Decision()) == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert given(Decision(0.4)) == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert given(Decision(0.4, 1)) == [[1, 0, 1], [0, 1, 0], [1, 0, 0]]  # of equal ones the first class
    assert given(Decision(0.4, 2)) == [[1, 0, 1], [0, 1, 1], [1, 1, 0]]
    assert given(Decision(0.9, 9)) == [[1, 1, 1]] * 3
    assert given(Decision(0.0)) == [[1, 1, 1]] * 3


def test_of_too_many_labels_the_most_probable_ones_are_given() -> None:
    assert given(Decision(0.2, 0, 1)) == [[1, 0, 0], [0, 1, 0], [1, 0, 0]]  # of equal ones the first class
    assert given(Decision(0.2, 0, 2)) == [[1, 0, 1], [0, 1, 1], [1, 1, 0]]
    assert given(Decision(0.5, 1, 1)) == [[1, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert given(Decision(0.0, 0, 9)) == [[1, 1, 1]] * 3


def test_a_record_holds_the_limit_only_if_there_is_one() -> None:
    assert Decision(0.4, 1).spec() == {"threshold": 0.4, "min_labels": 1}
    for rule in (Decision(0.4, 1), Decision(0.4, 1, 3)):
        assert Decision.from_spec(rule.spec()) == rule
    assert str(Decision(0.4, 1, 3)) == "labels with probability 0.4 or more, at least 1 per row, at most 3"


def test_a_float64_mean_and_the_float32_that_is_stored_are_decided_alike() -> None:
    below = np.array([[0.1 + 0.2, 0.3 - 1e-12]])  # of float32 both are 0.3
    for threshold in (0.3, 0.7):
        exact, stored = (Decision(threshold).assign_labels(one) for one in (below, below.astype(np.float32)))
        assert exact.tolist() == stored.tolist()
    assert Decision(0.3).assign_labels(below).all()


def competition(
    root: Path, cells: tuple[str, ...], separator: str | None = " ", **config: object
) -> Workspace:
    """A table of one row a cell, and no image that anyone reads."""
    (root / "data").mkdir(parents=True)
    lines = [f"r{number},{cell}" for number, cell in enumerate(cells)]
    (root / "data" / "train.csv").write_text("\n".join(["id,label", *lines]) + "\n")
    full_config = {"data": {"label_separator": separator, "sample": None}, **config}
    (root / "config.json").write_text(json.dumps(full_config))
    return Workspace.open(root)


def rule_of(space: Workspace) -> Decision:
    return decision_of(space, read_labelled_rows(space.root, space.competition.data))


def test_an_empty_answer_is_allowed_if_a_training_row_has_no_label(tmp_path: Path) -> None:
    some = competition(tmp_path / "some", ("a b", "", "b", "a"))
    every = competition(tmp_path / "every", ("a b", "b", "b", "a"))
    assert rule_of(some) == Decision(0.5, 0)
    assert rule_of(every) == Decision(0.5, 1)
    table = read_labelled_rows(some.root, some.competition.data)
    text = (
        "labels with probability 0.5 or more, a row may have no label (1 of 4 training rows have no label; "
    )
    assert explain_decision(some, table).startswith(text)
    workspace = Workspace.find(
        some.root, ["decision.min_labels=2", "decision.threshold=0.3", "decision.max_labels=2"]
    )
    assert rule_of(workspace) == Decision(0.3, 2, 2)
    assert metric_of(workspace, table).decision == Decision(0.3, 2, 2)


def test_rows_of_other_sources_do_not_decide_whether_a_row_may_be_empty(tmp_path: Path) -> None:
    space = competition(tmp_path, ("a b", "b"))
    (tmp_path / "data" / "train.csv").write_text("id,label,from\nr0,a b,\nr1,b,\nr2,,web\n")
    space = Workspace.find(tmp_path, ["data.external.source_column=from"])
    assert rule_of(space) == Decision(0.5, 1)


def test_more_labels_than_classes_are_refused_with_a_key_that_works(tmp_path: Path) -> None:
    competition(tmp_path, ("a b", "b"))
    with pytest.raises(
        ConfigError, match="C46 decision.min_labels is 3, but the table has 2 classes"
    ) as caught:
        rule_of(Workspace.find(tmp_path, ["decision.min_labels=3"]))
    key = caught.value.hint.removesuffix(" or less")
    assert rule_of(Workspace.find(tmp_path, [key])).min_labels == 2


def test_a_rule_for_one_label_a_row_has_no_effect_and_says_so(tmp_path: Path) -> None:
    space = competition(tmp_path, ("a", "b"), None, decision={"threshold": 0.3})
    with pytest.warns(KitWarning, match="W45 decision has no effect"):
        assert rule_of(space) == Decision()


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("decision.thresold=0.3", "unknown key; did you mean 'threshold'?"),
        ("decision.threshold=2", "less than or equal to 1"),
        ("decision.min_labels=-1", "greater than or equal to 0"),
        ("decision.max_labels=0", "greater than or equal to 1"),
        ('decision={"min_labels":3,"max_labels":2}', "min_labels is 3, which is more than max_labels"),
    ],
)
def test_a_wrong_key_or_value_is_named(key: str, text: str, tmp_path: Path) -> None:
    competition(tmp_path, ("a", "b"))
    with pytest.raises(ConfigError) as caught:
        Workspace.find(tmp_path, [key])
    assert text in str(caught.value.cases[0])


@pytest.mark.parametrize(
    ("overrides", "now", "was"),
    [
        (["metric=auc"], "metric=auc", "metric=macro_f1"),
        (["metric=map_at_k", "metric.k=3"], "metric=map_at_k metric.k=3", "metric=macro_f1"),
        (["decision.threshold=0.4"], "decision.threshold=0.4", "decision.threshold=0.5"),
        (["decision.min_labels=2"], "decision.min_labels=2", "decision.min_labels=null"),
        (["decision.max_labels=2"], "decision.max_labels=2", "decision.max_labels=null"),
    ],
)
def test_scoring_given_to_kit_train_is_refused_before_anything_is_moved(
    overrides: list[str],
    now: str,
    was: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    competition(tmp_path, ("a b", "b"))
    with pytest.raises(ConfigError, match="C45") as caught:
        check_scoring(Workspace.find(tmp_path, overrides))
    assert f"kit blend accepts {now} for one submission" in caught.value.hint
    assert caught.value.hint.startswith(f"use {was}, or change ")
    Workspace.find(tmp_path, now.split())  # what the hint names can be given
    other = tmp_path / "other.json"
    other.write_text(json.dumps(Workspace.find(tmp_path, overrides).raw))
    with pytest.raises(ConfigError, match="C45"):
        check_scoring(Workspace.find(tmp_path, (), other))
    check_scoring(Workspace.find(tmp_path, was.split(), other))
    (tmp_path / "runs" / "r").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for more in ((), ("--restart",), ("--dry-run",)):
        assert run(["train", "--name", "r", *overrides, *more]) == 2
        assert "C45" in capsys.readouterr().err
    assert run(["sweep", "s", "seed=0,1", *(f"{key}" for key in overrides)]) == 2
    assert "C45" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="C45"):
        train(tmp_path, overrides)
    assert [folder.name for folder in (tmp_path / "runs").iterdir()] == ["r"]


def test_the_metric_that_config_json_has_may_be_named(tmp_path: Path) -> None:
    competition(tmp_path, ("a b", "b"), metric="accuracy")
    check_scoring(Workspace.find(tmp_path, ["metric=accuracy", "decision.threshold=0.5", "epochs=3"]))


def test_a_record_with_the_old_options_is_read_with_its_rule() -> None:
    old = {
        "format": {"name": "labels", "separator": None, "threshold": 0.4, "at_least_one": False},
        "ensembler": {
            "name": "class_factors",
            "max_factor": 4,
            "metric": {"name": "macro_f1", "threshold": 0.5},
            "base": {
                "name": "hill_climb",
                "weights": [1, 0],
                "metric": {"name": "accuracy", "threshold": 0.5},
            },
        },
    }
    new = upgrade_record(old)
    assert new["format"] == {"name": "labels", "separator": None}
    assert new["decision"] == {"threshold": 0.4, "min_labels": 0}
    assert new["ensembler"]["metric"] == {"name": "macro_f1"}
    assert new["ensembler"]["base"] == {
        "name": "hill_climb",
        "weights": [1, 0],
        "metric": {"name": "accuracy"},
    }
    assert upgrade_record(new) == new
