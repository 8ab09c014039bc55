"""kit init reads a competition's files wherever they are, and writes config.json into the workspace alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kit.commands.init import command
from kit.config.models import Data
from kit.config.workspace import Workspace
from kit.core.kaggle_folders import find_attached, list_attached
from kit.data.table import test_table as rows_to_predict
from kit.data.table import train_table
from kit.errors import ConfigError, DataError
from kit.stages.discovery.initialise import initialise
from tests.drawn_tables import make, usual


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Kaggle's folders, with the working folder as the current one."""
    (tmp_path / "kaggle" / "working").mkdir(parents=True)
    (tmp_path / "kaggle" / "input").mkdir()
    monkeypatch.setenv("KIT_KAGGLE", str(tmp_path / "kaggle"))
    monkeypatch.chdir(tmp_path / "kaggle" / "working")
    return tmp_path / "kaggle"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace, which is the current folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def data_of(root: Path) -> dict[str, Any]:
    return dict(json.loads((root / "config.json").read_text())["data"])


def tables(root: Path) -> tuple[list[Path], list[Path]]:
    """The images of the rows that the workspace's config names."""
    workspace = Workspace.open(root)
    return list(train_table(workspace).paths), list(rows_to_predict(workspace).paths)


def check_usual(root: Path, files: Path) -> None:
    train, test = tables(root)
    assert train == [files / f"images/train/a{number:03d}.jpg" for number in range(30)]
    assert test == [files / f"images/test/t{number:03d}.jpg" for number in range(12)]


@pytest.mark.parametrize("given", ["absolute", "relative"])
def test_a_folder_elsewhere_is_named_once(tmp_path: Path, work: Path, given: str) -> None:
    usual(tmp_path / "there")
    initialise(work, source=tmp_path / "there" if given == "absolute" else "../there")
    data = data_of(work)
    assert (data["folder"], data["train"]) == (str(tmp_path / "there"), "train.csv")
    check_usual(work, tmp_path / "there")
    assert sorted(path.name for path in work.iterdir()) == ["config.json", "config.schema.json"]


def test_a_folder_in_the_workspace_is_relative_to_it(tmp_path: Path, work: Path) -> None:
    usual(work / "data")
    initialise(work, source="data")
    assert data_of(work)["folder"] == "data"
    shutil.move(work, tmp_path / "moved")
    check_usual(tmp_path / "moved", tmp_path / "moved" / "data")


def test_a_data_folder_that_is_the_workspace_is_said(work: Path) -> None:
    usual(work)
    assert (
        initialise(work, source=".")
        .findings[0]
        .startswith("the data folder is the workspace: kit writes runs/")
    )
    assert "folder" not in data_of(work)
    check_usual(work, work)


def test_a_folder_may_be_a_link(tmp_path: Path, work: Path) -> None:
    usual(tmp_path / "there")
    (work / "link").symlink_to(tmp_path / "there")
    initialise(work, source="link")
    assert data_of(work)["folder"] == "link"
    check_usual(work, work / "link")


def test_the_folder_of_a_given_table_is_the_data_folder(tmp_path: Path, work: Path) -> None:
    usual(tmp_path / "there")
    result = initialise(work, given={"train": "../there/train.csv"})
    assert result.findings[0] == f"data folder: {tmp_path / 'there'}, with train.csv"
    assert data_of(work)["train"] == "train.csv"
    check_usual(work, tmp_path / "there")


def test_given_paths_may_be_in_several_folders(tmp_path: Path, work: Path) -> None:
    usual(tmp_path / "there")
    shutil.move(tmp_path / "there" / "images", tmp_path / "resized")
    shutil.move(tmp_path / "there" / "sample_submission.csv", tmp_path / "sample.csv")
    shutil.copy(tmp_path / "there" / "train.csv", work / "cleaned.csv")
    given = {
        "train": "cleaned.csv",
        "sample": str(tmp_path / "sample.csv"),
        "images": "../resized/train/{id}",
        "test_images": f"{tmp_path}/resized/test/{{id}}.jpg",
    }
    initialise(work, given=given, source=tmp_path / "there")
    data = data_of(work)
    assert data["train"] == "./cleaned.csv"
    assert data["sample"] == str(tmp_path / "sample.csv")
    assert data["images"] == f"{tmp_path}/resized/train/{{id}}"
    train, test = tables(work)
    assert train[0] == tmp_path / "resized/train/a000.jpg"
    assert test[0] == tmp_path / "resized/test/t000.jpg"


def test_images_are_found_in_a_folder_that_only_the_table_is_not_in(tmp_path: Path, work: Path) -> None:
    usual(tmp_path / "there")
    shutil.move(tmp_path / "there" / "train.csv", work / "cleaned.csv")
    initialise(work, given={"train": "cleaned.csv"}, source=tmp_path / "there")
    assert data_of(work)["train"] == "./cleaned.csv"
    check_usual(work, tmp_path / "there")


def test_a_name_that_two_folders_have_is_never_guessed(tmp_path: Path, work: Path) -> None:
    usual(tmp_path / "there")
    shutil.copy(tmp_path / "there" / "train.csv", work / "train.csv")
    with pytest.raises(ConfigError, match="both the data folder and the workspace have it") as caught:
        initialise(work, given={"train": "train.csv"}, source=tmp_path / "there")
    assert [case.path for case in caught.value.cases] == [
        str(tmp_path / "there/train.csv"),
        str(work / "train.csv"),
    ]
    initialise(work, given={"train": "./train.csv"}, source=tmp_path / "there")
    assert data_of(work)["train"] == "./train.csv"


def test_folders_of_classes_may_be_elsewhere(tmp_path: Path, work: Path) -> None:
    images = [
        f"{split}/{name}/{n}.jpg" for split in ("train", "val") for name in ("cat", "dog") for n in "123"
    ]
    make(tmp_path / "there", images=[*images, "test/1.jpg"])
    initialise(work, given={"train": str(tmp_path / "there" / "train")})
    data = data_of(work)
    assert (data["folder"], data["train"], data["val"]) == (str(tmp_path / "there"), "train", "val")
    assert len(tables(work)[0]) == 12


def test_a_workspace_within_the_data_folder_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual(tmp_path / "there")
    work = tmp_path / "there" / "work"
    make(work, images=[f"cache/train/a{number:03d}.jpg" for number in range(30)])
    monkeypatch.chdir(work)
    result = initialise(work, source="..")
    assert data_of(work)["images"] == "images/train/{id}"
    assert not any("work/" in line for line in result.findings if not line.startswith("cache:"))


@pytest.mark.parametrize("option", ["data", "train"])
def test_the_data_folder_may_be_the_folder_of_classes(kaggle: Path, option: str) -> None:
    flowers = kaggle / "input" / "flowers"
    make(flowers, images=[f"{name}/{n}.jpg" for name in ("daisy", "rose", "tulip") for n in "1234"])
    if option == "data":
        initialise(kaggle / "working", source=flowers)
    else:
        initialise(kaggle / "working", given={"train": "../input/flowers"})
    data = data_of(kaggle / "working")
    assert (data["folder"], data["train"], data["sample"]) == (str(flowers), ".", None)
    table = train_table(kaggle / "working")
    assert table.classes == ("daisy", "rose", "tulip")
    assert table.paths[0] == flowers / "daisy" / "1.jpg"


def test_a_workspace_within_a_folder_of_classes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [f"train/{name}/{n}.jpg" for name in ("cat", "dog") for n in "123"]
    work = make(tmp_path, images=images) / "train" / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    with pytest.raises(ConfigError, match=r"the workspace .*work is in data.train, whose images are rows"):
        initialise(work, source=tmp_path)


def test_a_data_folder_that_does_not_exist_is_an_error(tmp_path: Path, work: Path) -> None:
    with pytest.raises(ConfigError, match="--data: no folder") as caught:
        initialise(work, source=tmp_path / "nowhere")
    assert caught.value.code == "C20"


def test_a_read_only_workspace_names_the_command_to_use(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ConfigError, match="is read-only") as caught:
        initialise(work)
    assert (caught.value.code, f"kit init --data {work}" in caught.value.hint) == ("C53", True)


def test_a_data_folder_that_vanished_or_moved_is_named(tmp_path: Path, work: Path) -> None:
    usual(tmp_path / "there")
    initialise(work, source=tmp_path / "there")
    shutil.move(tmp_path / "there", tmp_path / "moved")
    with pytest.raises(DataError, match="no folder") as caught:
        train_table(work)
    assert caught.value.code == "D67"
    workspace = Workspace.open(work, f"data.folder={tmp_path / 'moved'}")
    assert train_table(workspace).paths[0] == tmp_path / "moved/images/train/a000.jpg"


def test_paths_are_joined_once(tmp_path: Path) -> None:
    data = Data(
        folder="../there", train="a.csv", sample="./b.csv", images="{id}", class_list="/c.csv", test="."
    )
    joined = ["./../there/a.csv", "./b.csv", "./../there/{id}", "/c.csv", "./../there"]
    assert [data.train, data.sample, data.images, data.class_list, data.test] == joined
    assert Data.model_validate(data.model_dump()) == data
    plain = Data(train="./a.csv")
    assert (plain.train, plain.sample) == ("./a.csv", "data/sample_submission.csv")


@pytest.mark.parametrize("under", ["leaves", "competitions/leaves"])
def test_on_kaggle_the_one_competition_is_found(kaggle: Path, under: str) -> None:
    usual(kaggle / "input" / under)
    make(kaggle / "input" / "weights", {"README.md": "x"})
    make(
        kaggle / "input" / "first-run", {"config.json": "{}", "sample_submission.csv": "id\n"}, ["runs/a.png"]
    )
    done = CliRunner().invoke(command, [])
    assert done.exit_code == 0, done.output
    assert f"data folder: {kaggle / 'input' / under}, the competition in {kaggle / 'input'}" in done.output
    check_usual(kaggle / "working", kaggle / "input" / under)
    # a folder of the older layout may be a data set, so its name is not the competition's for certain
    slug = "leaves" if under.startswith("competitions/") else None
    assert Workspace.open(kaggle / "working").competition.kaggle == slug
    assert ("kaggle: leaves, the competition for uploads and scores" in done.output) == (slug is not None)


def test_folders_of_classes_are_a_competition_too(kaggle: Path) -> None:
    make(kaggle / "input/animals", images=[f"train/{name}/{n}.jpg" for name in ("cat", "dog") for n in "123"])
    make(kaggle / "input/weights", {"model.safetensors": ""})
    initialise(kaggle / "working")
    assert data_of(kaggle / "working")["folder"] == str(kaggle / "input/animals")


def test_two_competitions_are_listed(kaggle: Path) -> None:
    usual(kaggle / "input" / "leaves")
    usual(kaggle / "input" / "whales")
    with pytest.raises(ConfigError, match="2 folders in .* could be the competition") as caught:
        initialise(kaggle / "working")
    assert [case.path for case in caught.value.cases] == [
        str(kaggle / "input" / n) for n in ("leaves", "whales")
    ]
    assert caught.value.hint == f"kit init --data {kaggle / 'input' / 'leaves'}"
    initialise(kaggle / "working", given={"train": "../input/whales/train.csv"})
    assert data_of(kaggle / "working")["folder"] == str(kaggle / "input" / "whales")


def test_a_folder_that_kaggle_attaches_elsewhere_is_named(kaggle: Path) -> None:
    usual(kaggle / "input" / "leaves")
    initialise(kaggle / "working")
    (kaggle / "input" / "competitions").mkdir()
    shutil.move(kaggle / "input" / "leaves", kaggle / "input" / "competitions" / "leaves")
    with pytest.raises(DataError, match="D67") as caught:
        train_table(kaggle / "working")
    assert caught.value.hint == f"it may have moved: data.folder={kaggle}/input/competitions/leaves"


def test_a_workspace_with_images_of_its_own_is_used_on_kaggle_too(kaggle: Path) -> None:
    usual(kaggle / "input" / "leaves")
    usual(kaggle / "working")
    initialise(kaggle / "working")
    check_usual(kaggle / "working", kaggle / "working")


def test_list_attached_of_both_layouts_are_known(kaggle: Path) -> None:
    names = ["leaves", "competitions/whales", "datasets/ann/weights", "models/bob/net", "notebooks/ann/first"]
    for name in names:
        (kaggle / "input" / name / "deep").mkdir(parents=True)
    assert list_attached() == tuple(sorted(kaggle / "input" / name for name in names))
    assert (
        find_attached(kaggle / "input/datasets/ann/weights/deep/x") == kaggle / "input/datasets/ann/weights"
    )
    assert find_attached(kaggle / "working") is None
    make(kaggle / "input" / "datasets", {"train.csv": ""})  # a data set of this name
    assert kaggle / "input" / "datasets" in list_attached()


def test_a_list_of_classes_may_be_given(work: Path) -> None:
    usual(work)
    make(work, {"legs.csv": "label,legs\ncat,4\ndog,4\neel,0\nfox,4\n"})
    done = CliRunner().invoke(command, ["--recipe", "scratch", "--classes", "legs.csv"])
    assert done.exit_code == 0, done.output
    assert data_of(work)["class_list"] == "legs.csv"
    assert train_table(work).classes == ("cat", "dog", "eel", "fox")
