"""A plugin is a recipe: checked at the door, written down with its name, compared, hashed, pickled."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from pydantic import ValidationError

from kit.errors import ConfigError, PluginError
from kit.kinds import KINDS, Classes, Loss
from kit.kinds.plugin import Plugin, bound_field

NESTED = {"name": "cutmix", "alpha": 0.5, "base": {"name": "arcface", "margin": 0.2}}


def test_nested_options_come_back() -> None:
    loss = Loss.open(NESTED)
    written = json.loads(json.dumps(loss.spec()))
    assert written["base"]["margin"] == 0.2
    assert written["base"]["base"] == {"name": "cross_entropy"}
    assert Loss.open(written) == loss


def test_another_nested_option_is_another_plugin_with_another_hash() -> None:
    loss = Loss.open(NESTED)
    other = Loss.open({**NESTED, "base": {"name": "arcface", "margin": 0.3}})
    assert other != loss
    assert hash(other) != hash(loss)
    assert len({loss, other, Loss.open(NESTED)}) == 2


def test_nested_plugins_pickle() -> None:
    loss = Loss.open(NESTED)
    assert pickle.loads(pickle.dumps(loss)) == loss


def test_what_bind_filled_in_is_pickled_and_not_written_down() -> None:
    class _Counting(Loss):
        counts: tuple[int, ...] = bound_field()

    bound = _Counting.model_construct().with_classes(Classes(("a", "b"), counts=(3, 1)))
    assert bound.counts == (3, 1)
    assert "counts" not in _Counting.option_fields()


def test_bind_reaches_nested_plugins_and_keeps_the_options() -> None:
    loss = Loss.open(NESTED)
    assert loss.with_classes(Classes(("a", "b"))).spec() == loss.spec()


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        (
            {"name": "cutmix", "alpah": 1},
            "loss.alpah",
            "loss 'cutmix' has no option 'alpah'; did you mean 'alpha'?",
        ),
        (
            {"name": "cutmix", "base": {"name": "arcface", "margn": 1}},
            "loss.base.margn",
            "did you mean 'margin'?",
        ),
        ({"name": "cutmix", "alpha": 0}, "loss.alpha", "greater than 0, not 0"),
        ({"name": "cutmix", "alpha": "much"}, "loss.alpha", "valid number"),
        ({"name": "cutmix", "alpha": float("nan")}, "loss.alpha", "finite number"),
    ],
)
def test_options_are_checked_and_named_by_their_path(spec: dict[str, object], path: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Loss.open(spec)
    (case,) = caught.value.cases
    assert (caught.value.code, case.path) == ("C02", path)
    assert words in case.detail


def test_an_unknown_nested_plugin_is_named() -> None:
    with pytest.raises(PluginError, match=r"no loss named 'arcfase'; did you mean 'arcface'\?"):
        Loss.open({"name": "cutmix", "base": "arcfase"})


def test_options_without_a_name_are_for_the_default_nested_plugin() -> None:
    assert Loss.open({"name": "cutmix", "base": {}}) == Loss.open("cutmix")


def test_a_plugin_of_another_kind_is_not_taken() -> None:
    with pytest.raises(PluginError, match="no loss named 'accuracy'"):
        Loss.open({"name": "cutmix", "base": "accuracy"})


def test_a_plugin_does_not_change() -> None:
    loss = Loss.open("cutmix")
    with pytest.raises(ValidationError, match="frozen"):
        loss.alpha = 2  # type: ignore[attr-defined]


def test_a_nested_plugin_of_the_workspace_is_found(tmp_path: Path) -> None:
    file = tmp_path / "plugins" / "loss" / "own.py"
    file.parent.mkdir(parents=True)
    file.write_text("from kit.kinds import Loss\n\n\nclass Own(Loss):\n    factor: float = 1.0\n")
    loss = Loss.open({"name": "cutmix", "base": {"name": "own", "factor": 2}}, tmp_path)
    assert loss.spec()["base"] == {"name": "own", "factor": 2.0}
    assert pickle.loads(pickle.dumps(loss)) == loss


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_a_plugin_with_a_word_of_its_own(kind: str) -> None:
    assert issubclass(KINDS[kind], Plugin)
    assert KINDS[kind].kind == kind
