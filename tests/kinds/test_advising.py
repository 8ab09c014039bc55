"""kit.kinds.advice: commands and overrides that a message makes of what it knows, tried as a reader would."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kit.config.workspace import Workspace
from kit.data.predictions import PolicyRecord, Provenance
from kit.errors import InvalidError, KitError
from kit.experiment.loading import find_targets
from kit.kinds import Views
from kit.kinds.advice import calmer, predict_command
from kit.kinds.label_kinds import check_takes
from kit.stages.blending.blend import blend
from kit.stages.prediction.tta import views_name
from kit.stages.pseudo_labelling.rule import Rule
from tests.advice_texts import Text
from tests.advised import faults
from tests.written_runs import competition, write_run

SHIFT = Views.open({"name": "shift", "pixels": 3})


@pytest.mark.parametrize(
    ("views", "about", "command"),
    [
        ("d4", {}, "kit tta --checkpoints runs/r --views d4"),
        ("d4-geometric", {}, "kit tta --checkpoints runs/r --views d4 --merge geometric"),
        ("d4", {"spec": {"name": "d4"}}, "kit tta --checkpoints runs/r --views d4"),
        (
            "d4-0003",
            {"spec": {"name": "d4"}, "checkpoints": {"0": "0003:ab", "1": "0003:cd"}},
            "kit tta --checkpoints runs/r/fold-0/0003 runs/r/fold-1/0003 --views d4",
        ),
        (
            "d4-greedy",
            {"policy": PolicyRecord({"name": "d4"}, (), {"name": "greedy", "weights": [1, 0]}, ())},
            "kit tta --checkpoints runs/r --views d4 --choose-views greedy",
        ),
        (
            SHIFT.slug(),
            {"spec": SHIFT.spec()},
            f"kit tta --checkpoints runs/r --views '{json.dumps(SHIFT.spec())}'",
        ),
    ],
)
def test_predictions_name_the_command_that_makes_them(
    views: str, about: dict[str, Any], command: str
) -> None:
    assert predict_command("r", views, provenance=Provenance(**about)) == command
    assert faults(Text("made", command, typed=True)) == []


def test_a_name_that_is_no_set_of_views_is_not_put_into_a_command() -> None:
    for views in ("d5", "shift-abcdef", "plain-power"):
        advised = predict_command("r", views)
        assert "--checkpoints" not in advised
        assert faults(Text("made", advised)) == []


def test_views_are_named_as_tta_names_their_folder() -> None:
    for spec in ("d4", "hflip", "plain"):
        views = Views.open(spec)
        assert f"--views {spec}" in predict_command("r", views_name(views, "mean"))
        assert "--merge geometric" in predict_command("r", views_name(views, "geometric"))


def test_a_member_that_is_missing_names_a_command_that_can_be_typed(tmp_path: Path) -> None:
    space = competition(tmp_path)
    with pytest.raises(InvalidError, match="no predictions of views 'hflip'") as caught:
        blend(space, ["runs/a@hflip"])
    assert caught.value.hint == "kit tta --checkpoints runs/a --views hflip"
    with pytest.raises(InvalidError, match="no predictions of views 'd5'") as caught:
        blend(space, ["runs/a@d5"])
    assert "kit runs show a" in caught.value.hint


def test_other_test_rows_name_the_views_of_both(tmp_path: Path) -> None:
    space = competition(tmp_path)
    write_run(space.root, "c", test=("007", "1e5", "NA"))
    with pytest.raises(InvalidError, match="different test sets") as caught:
        blend(space, ["runs/a@d4", "runs/c"])
    commands = re.findall(r"kit tta --checkpoints runs/\w --views \w+", caught.value.hint)
    assert commands == [
        "kit tta --checkpoints runs/a --views d4",
        "kit tta --checkpoints runs/c --views plain",
    ]


@pytest.mark.parametrize(
    ("clip", "precision", "advised"),
    [
        (
            None,
            "bfloat16",
            "a lower optimizer.lr, or clip_grad_norm=1, or precision=float32, under another --name",
        ),
        (None, "float32", "a lower optimizer.lr, or clip_grad_norm=1, under another --name"),
        (1.0, "float32", "a lower optimizer.lr, under another --name"),
        (
            5.0,
            "float16",
            "a lower optimizer.lr, or clip_grad_norm=1, or precision=float32, under another --name",
        ),
    ],
)
def test_a_loss_that_is_not_finite_is_answered_by_what_is_not_set(
    clip: float | None, precision: str, advised: str
) -> None:
    assert calmer(clip, precision) == advised
    assert faults(Text("made", advised)) == []


def test_a_scorer_is_asked_for_by_its_option() -> None:
    from kit.kinds import Metric, Scorer

    with pytest.raises(KitError) as caught:
        check_takes([Scorer.open("unknown"), Metric.open("macro_f1")], "soft")
    assert "scorer=" not in caught.value.hint
    assert "metric=<one of these>" in caught.value.hint


def test_a_path_that_is_no_checkpoint_names_what_works(tmp_path: Path) -> None:
    space = Workspace.of(competition(tmp_path))
    with pytest.raises(KitError, match="not a run, fold or checkpoint") as caught:
        find_targets(space, "runs/none")
    assert faults(Text("made", caught.value.hint)) == []


@pytest.mark.parametrize(
    ("rule", "advised"),
    [
        (
            Rule(),
            "a lower --threshold, or --top-fraction 0.2 without --threshold",
        ),
        (Rule(threshold=0.0, top_fraction=0.2, unanimous=True), "without --unanimous"),
        (Rule(threshold=0.0, top_fraction=0.2), "a larger --top-fraction"),
    ],
)
def test_pseudo_labels_that_take_no_row_name_what_was_not_given(rule: Rule, advised: str) -> None:
    assert rule.looser() == advised
    assert faults(Text("made", advised)) == []
