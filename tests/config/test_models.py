"""config.json: what is wrong is reported with its line, and overrides follow one grammar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kit.commands.config import command
from kit.config.models import Experiment, keys
from kit.config.overrides import apply_overrides
from kit.config.parsing import parse, validate_config
from kit.config.schema import complete, config_schema
from kit.config.workspace import Workspace
from kit.errors import ConfigError, KitError, KitWarning
from kit.kinds.registry import locations


def wrong(text: str) -> ConfigError:
    """The error of a config.json with this text."""
    with pytest.raises(ConfigError) as caught:
        validate_config(parse(text), text)
    assert caught.value.exit_code == 2
    return caught.value


def test_an_empty_config_is_all_defaults() -> None:
    competition, experiment = validate_config({})
    assert competition.metric == {"name": "macro_f1"}
    assert experiment.backbone == {"name": "timm"}


def test_an_unknown_key_is_reported_with_its_line_and_the_nearest() -> None:
    error = wrong('{\n  "seed": 1,\n  "epoch": 3\n}')
    assert error.code == "C01"
    assert str(error.cases[0]) == "epoch: unknown key; did you mean 'epochs'? (line 3)"


def test_an_unknown_key_of_a_section_is_reported_likewise() -> None:
    error = wrong('{\n  "data": {\n    "trian": "x.csv"\n  }\n}')
    assert error.code == "C02"
    assert str(error.cases[0]) == "data.trian: unknown key; did you mean 'train'? (line 3)"


def test_a_wrong_type_is_reported_with_its_line_and_value() -> None:
    error = wrong('{\n  "seed": 1,\n  "epochs": "many"\n}')
    assert error.code == "C02"
    assert error.cases[0].path == "epochs"
    assert "not 'many'" in error.cases[0].detail
    assert "(line 3)" in error.cases[0].detail


@pytest.mark.parametrize(
    "text", ['{"epochs": 0}', '{"image_size": 4}', '{"ema_decay": 1}', '{"center_crop": 0}']
)
def test_a_value_beyond_its_limits_is_refused(text: str) -> None:
    assert wrong(text).code == "C02"


def test_a_key_that_is_there_twice_is_reported_with_its_line() -> None:
    error = wrong('{\n  "seed": 1,\n  "epochs": 3,\n  "seed": 2\n}')
    assert error.code == "C03"
    assert "'seed' twice (line 4)" in error.summary
    assert wrong('{"data": {"id": "a", "id": "b"}}').code == "C03"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{\n  "seed": 1,\n}', 3),
        ('{\n  // the seed\n  "seed": 1\n}', 2),
        ('{\n  "seed": 1\n  "epochs": 2\n}', 3),
        ("{\n", 2),
    ],
)
def test_text_that_is_no_json_is_reported_with_its_line(text: str, line: int) -> None:
    error = wrong(text)
    assert error.code == "C04"
    # the parser places a comma too much at the comma in some versions, and at the bracket in others
    assert any(f"line {near}" in error.summary for near in (line, line - 1))
    assert "no comments and no comma after the last entry" in error.hint


def test_json_that_is_no_object_is_refused() -> None:
    assert "one JSON object" in wrong("[1]").summary


def test_a_mark_and_a_schema_at_the_top_are_accepted() -> None:
    assert parse('\ufeff{"$schema": "./x.json", "seed": 3}') == {"seed": 3}


@pytest.mark.parametrize(
    ("before", "assignments", "after"),
    [
        ({}, ["epochs=3"], {"epochs": 3}),
        ({}, ["data.label=species"], {"data": {"label": "species"}}),
        ({}, ["data.sep=;"], {"data": {"sep": ";"}}),
        ({}, ["head=null"], {"head": None}),
        ({}, ["loss.smoothing=0.1"], {"loss": {"name": "cross_entropy", "smoothing": 0.1}}),
        ({"loss": "cutmix"}, ["loss.alpha=2"], {"loss": {"name": "cutmix", "alpha": 2}}),
        ({"loss": {"name": "cutmix", "alpha": 2}}, ["loss=arcface"], {"loss": "arcface"}),
        (
            {},
            ["loss.base.margin=0.3", "loss.base=arcface", "loss=cutmix"],
            {"loss": {"name": "cutmix", "base": {"name": "arcface", "margin": 0.3}}},
        ),
        (
            {"loss": {"name": "cutmix", "base": {"name": "arcface", "margin": 0.3}}},
            ["loss.base=cross_entropy"],
            {"loss": {"name": "cutmix", "base": "cross_entropy"}},
        ),
        ({}, ['data.extensions=[".png"]'], {"data": {"extensions": [".png"]}}),
        ({}, ["data.label=a=b"], {"data": {"label": "a=b"}}),
    ],
)
def test_names_come_before_options_whatever_their_order(
    before: dict[str, Any], assignments: list[str], after: dict[str, Any]
) -> None:
    kept = json.dumps(before)
    assert apply_overrides(before, assignments) == after
    assert json.dumps(before) == kept


SMOOTHED = {"name": "label_smoothing", "smoothing": 0.2}
MIXED = {"name": "cutmix", "alpha": 2, "base": SMOOTHED}
TRACKED = [{"name": "tensorboard", "folder": "t"}, {"name": "wandb", "project": "p"}]


@pytest.mark.parametrize(
    ("before", "assignments", "after"),
    [
        ({"loss": SMOOTHED}, ["loss=label_smoothing"], {"loss": SMOOTHED}),
        ({"loss": SMOOTHED}, ["loss=focal", "loss=label_smoothing"], {"loss": SMOOTHED}),
        (
            {"loss": SMOOTHED},
            ["loss=label_smoothing", "loss.smoothing=0.3"],
            {"loss": {"name": "label_smoothing", "smoothing": 0.3}},
        ),
        ({"loss": MIXED}, ["loss.base=label_smoothing"], {"loss": MIXED}),
        (
            {"loss": MIXED},
            ['loss={"name": "cutmix", "alpha": 3, "base": "label_smoothing"}'],
            {"loss": {**MIXED, "alpha": 3}},
        ),
        (
            {"executor": {"name": "processes", "workers": 3}},
            ["executor=processes"],
            {"executor": {"name": "processes", "workers": 3}},
        ),
        ({"tracker": TRACKED}, ["tracker=wandb"], {"tracker": TRACKED[1]}),
        ({"tracker": TRACKED}, ['tracker=["wandb", "tensorboard"]'], {"tracker": TRACKED[::-1]}),
        (
            {"tracker": TRACKED[1]},
            ['tracker=["tensorboard", "wandb"]'],
            {"tracker": ["tensorboard", TRACKED[1]]},
        ),
        (
            {"tracker": TRACKED},
            ["tracker.0=tensorboard", "tracker.1.project=q"],
            {"tracker": [TRACKED[0], {"name": "wandb", "project": "q"}]},
        ),
        (
            {"stages": [{"epochs": 2, "loss": SMOOTHED}]},
            ["stages.0.loss=label_smoothing"],
            {"stages": [{"epochs": 2, "loss": SMOOTHED}]},
        ),
        (
            {"stages": [{"epochs": 2, "loss": SMOOTHED}]},
            ['stages=[{"epochs": 3, "loss": "label_smoothing"}]'],
            {"stages": [{"epochs": 3, "loss": SMOOTHED}]},
        ),
        (
            {"data": {"label_from": {"rename": {"name": "a", "b": "c"}}}},
            ['data.label_from.rename={"name": "a"}'],
            {"data": {"label_from": {"rename": {"name": "a"}}}},
        ),
    ],
)
def test_naming_the_plugin_that_is_set_keeps_its_options(
    before: dict[str, Any], assignments: list[str], after: dict[str, Any]
) -> None:
    kept = json.dumps(before)
    assert apply_overrides(before, assignments) == after
    assert json.dumps(before) == kept


@pytest.mark.parametrize(
    ("before", "assignment", "words"),
    [
        ({"loss": SMOOTHED}, 'loss={"name": "label_smoothing"}', "W60 loss .*: smoothing=0.2$"),
        ({"loss": MIXED}, 'loss.base={"name": "label_smoothing"}', "W60 loss.base .*: smoothing=0.2$"),
        (
            {"loss": MIXED},
            'loss={"name": "cutmix", "base": {"name": "label_smoothing"}}',
            "W60 loss .*: base.smoothing=0.2, alpha=2$",
        ),
        ({"tracker": TRACKED}, 'tracker=["tensorboard", {"name": "wandb"}]', "W60 tracker .*: 1.project=p$"),
    ],
)
def test_an_object_that_leaves_options_out_resets_them_and_says_which(
    before: dict[str, Any], assignment: str, words: str
) -> None:
    with pytest.warns(KitWarning, match=words):
        apply_overrides(before, [assignment])


def test_an_object_and_its_options_beside_it_drop_nothing() -> None:
    config = apply_overrides({"loss": SMOOTHED}, ['loss={"name": "label_smoothing"}', "loss.smoothing=0.5"])
    assert config == {"loss": {"name": "label_smoothing", "smoothing": 0.5}}


def test_a_stage_that_names_the_experiment_s_plugin_has_its_options() -> None:
    stages = [{"epochs": 2, "loss": "label_smoothing"}, {"loss": "focal", "augmenter": "light"}]
    experiment = Experiment.model_validate(
        {"loss": SMOOTHED, "augmenter": {"name": "light", "rotate": 5}, "stages": stages, "epochs": 5}
    )
    assert [stage.loss for stage in experiment.stages] == [SMOOTHED, {"name": "focal"}]
    assert experiment.stages[1].augmenter == {"name": "light", "rotate": 5}
    assert [part.loss["name"] for _, part in experiment.plan()] == ["label_smoothing", "focal"]


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("stages.1.loss=focal", "stages is a list of 1 items, and has no item '1'"),
        ("stages.first.loss=focal", "has no item 'first'"),
        ("epochs", "is not key=value"),
        ("=3", "is not key=value"),
        ("loss.=3", "is not key=value"),
        ("epoch=3", "did you mean 'epochs'"),
        ("epochs.more=3", "has no keys to set"),
    ],
)
def test_an_override_that_cannot_be_is_refused(assignment: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        apply_overrides({"epochs": 2, "stages": [{}]}, [assignment])


# ---------------------------------------------------------------------------- schema, and the command


def workspace(root: Path, **config: Any) -> Path:
    (root / "config.json").write_text(json.dumps(config))
    return root


def test_the_schema_knows_every_key_and_the_names_of_plugins(tmp_path: Path) -> None:
    (tmp_path / "plugins/loss").mkdir(parents=True)
    (tmp_path / "plugins/loss/ours.py").write_text("")
    schema = config_schema(tmp_path)
    assert set(schema["properties"]) == {*keys(), "$schema"}
    names = schema["properties"]["loss"]["anyOf"][0]["enum"]
    assert names == sorted([*locations("loss"), "ours"])
    assert {"type": "null"} in schema["properties"]["head"]["anyOf"]
    assert "label" in schema["$defs"]["Data"]["properties"]


def test_the_whole_config_shows_every_option_of_every_plugin(tmp_path: Path) -> None:
    root = workspace(tmp_path, loss="cutmix")
    shown = complete(Workspace.open(root, ["loss.base=label_smoothing", "splitter.folds=3"]))
    assert set(shown) == set(keys())
    assert shown["loss"]["base"] == {"name": "label_smoothing", "smoothing": 0.1}
    assert shown["loss"]["alpha"] == 1.0
    assert shown["splitter"] == {"name": "stratified_kfold", "folds": 3}
    assert complete(Workspace(root, shown)) == shown


def test_show_and_schema_write_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace(tmp_path, epochs=3))
    shown = CliRunner().invoke(command, ["show", "epochs=4", "loss=cutmix", "--json"])
    assert json.loads(shown.stdout)["epochs"] == 4
    schema = CliRunner().invoke(command, ["schema"])
    assert json.loads(schema.stdout)["additionalProperties"] is False


def test_show_refuses_what_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace(tmp_path))
    for override, words in (
        ("loss=cutmx", "did you mean 'cutmix'"),
        ("loss=cutmix loss.base.gama=1", "base.gama"),
    ):
        error = CliRunner().invoke(command, ["show", *override.split()]).exception
        assert isinstance(error, KitError)
        assert words in str(error)


def test_a_schema_is_to_be_had_without_a_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(command, ["schema"]).exit_code == 0


def test_columns_of_a_table_are_no_plugin_of_the_kind_of_the_same_name() -> None:
    """The key `columns` names a plugin, and data.columns lists names."""
    raw = {"data": {"columns": ["age"]}, "columns": "mlp"}
    config = apply_overrides(raw, ["data.columns=site", "columns.hidden=8"])
    assert config["data"]["columns"] == "site"
    assert config["columns"] == {"name": "mlp", "hidden": 8}
