"""kit init writes a whole config of one of two recipes, and says which and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from kit.commands.init import command
from kit.config.models import Data, keys
from kit.config.parsing import validate_config
from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.table import sample_frame
from kit.errors import ConfigError, KitError
from kit.kinds import Loss
from kit.stages.discovery import recipes
from kit.stages.discovery.initialise import initialise
from kit.stages.training.train import train
from tests.drawn_tables import usual


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


SHORT = """\
{
  "$schema": "./config.schema.json",
  "data": {
    "train": "train.csv",
    "sample": "sample_submission.csv",
    "id": "image_id",
    "label": "label",
    "images": "images/train/{id}",
    "test_images": "images/test/{id}"
  },
  "metric": "macro_f1",
  "backbone": {"name": "timm", "arch": "resnet10t", "pretrained": false},
  "augmenter": "heavy",
  "loss": {"name": "cutmix", "probability": 0.5, "base": {"name": "label_smoothing", "smoothing": 0.1}},
  "optimizer": {"name": "adamw", "lr": 0.002, "weight_decay": 0.05},
  "scheduler": {"name": "cosine", "warmup": 0.1},
  "epochs": 42,
  "image_size": 224,
  "splitter": {"name": "stratified_kfold", "folds": 5}
}
"""


@pytest.mark.usefixtures("offline")
def test_a_short_config_and_its_schema_are_written(tmp_path: Path) -> None:
    usual(tmp_path)
    result = initialise(tmp_path)
    assert result.path.read_text() == SHORT
    written = json.loads(result.path.read_text())
    assert written.pop("$schema") == "./config.schema.json"
    validate_config(written)
    schema = json.loads((tmp_path / "config.schema.json").read_text())
    assert set(schema["properties"]) == {*keys(), "$schema"}
    assert written["splitter"]["name"] == "stratified_kfold"
    assert (result.recipe, written["backbone"]["pretrained"], written["epochs"]) == ("scratch", False, 42)
    assert "offline" in result.why
    assert sample_frame(tmp_path, Data(**written["data"])).shape == (12, 2)


@pytest.mark.usefixtures("offline")
def test_a_config_is_never_written_over_by_accident(tmp_path: Path) -> None:
    usual(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="already exists") as caught:
        initialise(tmp_path)
    assert caught.value.code == "C21"
    assert (tmp_path / "config.json").read_text() == "{}"
    initialise(tmp_path, force=True)
    assert (tmp_path / "config.json").read_text() != "{}"


def test_the_page_on_defaults_says_of_every_value_of_a_recipe_where_it_comes_from() -> None:
    page = (Path(__file__).parents[3] / "docs" / "defaults.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    said = [{key.strip("`"): cells[number] for key, *cells in rows} for number in (0, 1)]
    for (name, recipe), shown in zip(recipes.RECIPES.items(), said, strict=True):
        written = flat({**recipe, "splitter": recipes.config(name, {})[0]["splitter"], "batch_size": 32})
        assert {key: shown[key] for key in written} == written, name
        assert all(cell == "-" or key in written for key, cell in shown.items()), name
    assert all(len(row) == 4 and len(row[3]) > 20 for row in rows)


def flat(values: dict[str, Any], before: str = "") -> dict[str, str]:
    """Dotted keys and JSON values; a plugin's name stands for its key."""
    settings: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            settings |= flat(value, f"{before}{key}.")
        else:
            settings[before.rstrip(".") if key == "name" else before + key] = (
                value if isinstance(value, str) else json.dumps(value)
            )
    return settings


@pytest.mark.parametrize("recipe", recipes.RECIPES)
def test_a_recipe_trains_and_predicts(recipe: str, competition: Path) -> None:
    small = {"arch": "resnet10t", "pretrained": False}
    chosen = {**recipes.RECIPES[recipe], "epochs": 1, "splitter": {"name": "holdout"}, "image_size": 32}
    chosen["backbone"] = {**chosen["backbone"], **small}
    config = json.loads((competition / "config.json").read_text())
    (competition / "config.json").write_text(json.dumps({**config, **chosen, "cache_size": 40}))
    run = train(competition, name="r")
    oof = Predictions.read(run.predictions("plain") / "oof.parquet")
    assert oof.provenance.require_scores()["accuracy"] > 0


def test_groups_choose_the_splitter() -> None:
    assert recipes.config("scratch", {"group": "patient"})[0]["splitter"]["name"] == "stratified_group_kfold"


@pytest.mark.parametrize("recipe", ["scratch", "finetune"])
@pytest.mark.parametrize(
    "data", [{"label_separator": " "}, {"label": None}, {"label": None, "group": "site"}]
)
def test_several_labels_a_row_choose_loss_and_splitter(recipe: str, data: dict[str, str | None]) -> None:
    config, _ = recipes.config(recipe, data)
    loss, mixed = config["loss"], {"name": "cutmix", "probability": 0.5, "base": {"name": "bce"}}
    assert loss == (mixed if recipe == "scratch" else {"name": "bce"})
    assert Loss.open(loss).takes_labels("multi_hot")
    assert config["splitter"] == {"name": "multilabel_stratified_kfold", "folds": 5}


@pytest.mark.parametrize(
    ("recipe", "side", "size"),
    [
        ("scratch", 32, 64),
        ("scratch", 192, 128),
        ("scratch", 500, 224),
        ("finetune", 32, 128),
        ("finetune", 192, 224),
        ("finetune", 500, 224),
    ],
)
def test_small_images_get_a_small_network_input(recipe: str, side: int, size: int) -> None:
    assert recipes.config(recipe, {}, [side])[0]["image_size"] == size


def test_sides_are_read_from_the_images_that_can_be(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    assert recipes.image_sizes([tmp_path / "a.png", tmp_path / "b.png", tmp_path / "c.png"]) == [(30, 20)]


def answers(value: object) -> Callable[..., object]:
    def answer(*_: object, **__: object) -> object:
        if isinstance(value, Exception):
            raise value
        return value

    return answer


@pytest.mark.parametrize(
    ("cached", "hub", "recipe", "words"),
    [
        ("/cache/model.safetensors", OSError(), "finetune", "local cache"),
        (None, "metadata", "finetune", "the hub has the weights"),
        (None, ConnectionError(), "scratch", "ConnectionError"),
    ],
)
def test_auto_fine_tunes_where_weights_are_to_be_had(
    monkeypatch: pytest.MonkeyPatch, cached: str | None, hub: object, recipe: str, words: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", answers(cached))
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", answers(hub))
    name, why = recipes.choose("auto")
    assert name == recipe
    assert words in why


def test_a_hub_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", answers(None))
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda *_, **__: time.sleep(1))
    monkeypatch.setattr(recipes, "TIMEOUT", 0.05)
    assert recipes.choose("auto")[0] == "scratch"
    assert "no answer in 0.05 s" in recipes.choose("auto")[1]


def test_fine_tuning_asked_for_is_never_turned_into_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "weights_available", lambda arch: (False, ""))
    assert recipes.choose("finetune")[0] == "finetune"
    with pytest.raises(ConfigError, match="did you mean 'scratch'"):
        recipes.choose("scrach")


@pytest.mark.usefixtures("offline")
def test_the_command_says_what_it_found(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [str(usual(tmp_path)), "--json"])
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert (shown["rows"], shown["classes"], shown["test_rows"], shown["recipe"]) == (30, 3, 12, "scratch")
    assert "recipe: scratch (the weights of" in result.stderr
    assert "30 rows, 3 classes, 12 test rows" in result.stderr


@pytest.mark.usefixtures("offline")
def test_the_command_tells_a_sample_whose_cells_are_no_classes(tmp_path: Path) -> None:
    usual(tmp_path)
    sample = tmp_path / "sample_submission.csv"
    sample.write_text(sample.read_text().replace("cat", "0"))
    result = CliRunner().invoke(command, [str(tmp_path), "--recipe", "scratch"])
    assert result.exit_code == 0
    assert "the data is not usable yet: C21 the sample submission matches no known format" in result.stderr
    assert "the 3 classes: cat, dog, eel" in result.stderr
    assert "data.label_from.rename if the sample's labels have other names" in result.stderr


@pytest.mark.usefixtures("offline")
def test_the_command_tells_data_that_cannot_be_used_yet(tmp_path: Path) -> None:
    usual(tmp_path)
    (tmp_path / "images/train/a007.jpg").unlink()
    result = CliRunner().invoke(command, [str(tmp_path), "--recipe", "scratch"])
    assert result.exit_code == 0
    assert "the data is not usable yet: D02 no image for id 'a007'" in result.stderr


def shown_by(root: Path, *options: str) -> tuple[dict[str, Any], str]:
    """What kit init prints as JSON and on stderr."""
    result = CliRunner().invoke(command, [str(root), "--recipe", "scratch", "--json", "--force", *options])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), result.stderr


def binary(root: Path, cell: str) -> Path:
    """A competition of cats and dogs whose sample has this cell in each row."""
    usual(root)
    train, sample = root / "train.csv", root / "sample_submission.csv"
    train.write_text(train.read_text().replace("eel", "cat"))
    sample.write_text(sample.read_text().replace(",cat", f",{cell}"))
    return root


def test_a_sample_that_shows_no_format_is_said_to_follow_the_metric(tmp_path: Path) -> None:
    binary(tmp_path, "0")
    shown, said = shown_by(tmp_path)
    assert (shown["metric"], shown["format"]) == ({"name": "auc"}, "binary_probability")
    assert (
        "metric: auc (every cell of the sample is 0, for two classes: read as the probability of one)" in said
    )
    assert (
        "format: binary_probability of 'dog', else format=binary_probability format.positive=CLASS (W11 every cell"
        in said
    )
    binary(tmp_path / "empty", "")
    shown, said = shown_by(tmp_path / "empty")
    assert (shown["metric"]["name"], shown["format"]) == ("macro_f1", "label")
    assert "metric: macro_f1 (every cell of the sample is empty, which shows no other metric)" in said
    shown, said = shown_by(tmp_path / "empty", "--metric", "log_loss")
    assert (shown["metric"]["name"], shown["format"]) == ("log_loss", "binary_probability")
    assert "(as asked for)" in said
    nested = '{"name": "mean", "of": ["auc", {"name": "f1", "average": "micro"}]}'
    shown, said = shown_by(tmp_path / "empty", "--metric", nested)
    assert 'metric: mean of=["auc", {"name": "f1", "average": "micro"}] (as asked for)' in said


def test_a_metric_that_is_unknown_or_not_for_the_labels_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    usual(tmp_path)
    for metric, code in (
        ("logos", "P02"),
        ("samples_f1", "C17"),
        ("F2", "C20"),
        ("log_loss class_weights=[]", "C02"),
    ):
        with pytest.raises(KitError) as caught:
            initialise(tmp_path, "scratch", metric=metric)
        assert caught.value.code == code
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize(("option", "mark"), [(";", ";"), (r"\t", "\t"), ("|", "|")])
def test_the_separator_and_the_encoding_can_be_given(option: str, mark: str, tmp_path: Path) -> None:
    usual(tmp_path)
    for name in ("train.csv", "sample_submission.csv"):
        text = (tmp_path / name).read_text().replace(",", mark).replace("eel", "éel")
        (tmp_path / name).write_bytes(text.encode("cp1250"))
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    initialise(tmp_path, "scratch", {"sep": option, "encoding": "cp1250"})
    written = Workspace.open(tmp_path).competition.data
    assert (written.sep, written.encoding, written.label) == (mark, "cp1250", "label")
    assert shown_by(tmp_path, "--sep", option, "--encoding", "cp1250")[0]["classes"] == 3
