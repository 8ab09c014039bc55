"""Bundles predict images of several files and records of containers as the workspace does."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from kit.config.models import Data
from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.errors import ConfigError, DataError
from kit.stages.bundles.dependencies import packages_of_extra
from kit.stages.bundles.packing import bundle
from kit.stages.bundles.predicting import below, image_folder, in_folder, predict_bundle, split_pattern
from kit.stages.bundles.prediction import PredictionInput
from kit.stages.bundles.trying import write_trial_rows
from kit.stages.discovery.initialise import initialise
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train
from tests.blends import submit_blend
from tests.entering import SIDE, TINY

RNG = np.random.default_rng(0)
TRAIN, TEST = [f"a{number:02d}" for number in range(16)], [f"t{number}" for number in range(4)]


def write_tables(root: Path) -> None:
    rows = (f"{name},{'ab'[number % 2]}\n" for number, name in enumerate(TRAIN))
    (root / "train.csv").write_text("id,label\n" + "".join(rows))
    (root / "sample_submission.csv").write_text("id,label\n" + "".join(f"{name},a\n" for name in TEST))


def colours(root: Path) -> None:
    for folder, names in (("train", TRAIN), ("test", TEST)):
        (root / folder).mkdir()
        for name in names:
            for colour in ("red", "green"):
                image = RNG.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
                Image.fromarray(image).save(root / folder / f"{name}_{colour}.png")


def records(root: Path) -> None:
    for split, names in (("train", TRAIN), ("test", TEST)):
        with h5py.File(root / f"{split}.hdf5", "w") as file:
            for name in names:
                file[f"images/{name}"] = RNG.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


@pytest.mark.parametrize("draw", [colours, records])
def test_a_bundle_predicts_as_the_workspace(draw: Callable[[Path], None], tmp_path: Path) -> None:
    root = tmp_path / "space"
    root.mkdir()
    write_tables(root)
    draw(root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        initialise(root, "scratch")
        run = train(root, TINY, name="a")
        tta(root, [run.folder], views="plain")
        submission = submit_blend(root, ["runs/a@plain"])
        space = Workspace.open(root)
        bundle(space, [str(submission.path.with_suffix(".json"))], tmp_path / "bundle")
        moved = tmp_path / "moved"
        moved.mkdir()
        for file in [root / "test.hdf5"] if draw is records else sorted((root / "test").iterdir()):
            shutil.copy(file, moved)
        given = PredictionInput(moved, root / "sample_submission.csv", on_unreadable_test="stop")
        predict_bundle(tmp_path / "bundle", given, tmp_path / "out.csv", tmp_path / "work")
    assert (tmp_path / "out.csv").read_text() == submission.path.read_text()
    there, here = (
        Predictions.read(folder / "runs/a/predictions/plain/test.parquet").probabilities
        for folder in (tmp_path / "work", root)
    )
    assert np.array_equal(there, here)
    count, is_noise, words = write_trial_rows(space, 3, tmp_path)
    assert (count, is_noise) == (3, False)
    assert words[-1] == str(root / "test" if draw is colours else root)
    wanted = "h5py==" if draw is records else "numpy=="
    assert any(
        line.startswith(wanted) for line in (tmp_path / "bundle/requirements.txt").read_text().splitlines()
    )


@pytest.mark.parametrize(
    ("pattern", "folder", "rest"),
    [
        ("data/images/{id}.png", "data/images", "{id}.png"),
        ("images/all.png", "images", "all.png"),
        ("/data/{id}", "/data", "{id}"),
        ("test/{id}_r.png | test/{id}_g.png", "test", "{id}_r.png | {id}_g.png"),
        ("red/{id}.png | green/{id}.png", "", "red/{id}.png | green/{id}.png"),
        ("x/red/{id}.png | x/green/{a}/{id}.png", "x", "red/{id}.png | green/{a}/{id}.png"),
        ("data/test.bson::_id/{id}", "data", "test.bson::_id/{id}"),
        ("data/test*.tfrec::a/b/{id}", "data", "test*.tfrec::a/b/{id}"),
        ("test.hdf5::{id}", "", "test.hdf5::{id}"),
    ],
)
def test_a_pattern_has_a_folder_and_a_rest(pattern: str, folder: str, rest: str) -> None:
    assert split_pattern(pattern) == (folder, rest)
    data = Data(images=pattern)
    assert image_folder(Path("/w"), data) == Path("/w") / folder
    moved = in_folder(Path("/m"), below(pattern))
    assert [part.removeprefix("/m/") for part in moved.split(" | ")] == rest.split(" | ")


def test_noise_cannot_stand_in_for_a_container(tmp_path: Path) -> None:
    write_tables(tmp_path)
    records(tmp_path)
    initialise(tmp_path, "scratch")
    (tmp_path / "test.hdf5").unlink()
    space = Workspace.open(tmp_path)
    with pytest.raises(ConfigError, match="no test image is here") as caught:
        write_trial_rows(space, 3, tmp_path)
    assert caught.value.code == "C07"


def test_an_extras_packages_are_those_of_setup_cfg() -> None:
    assert {"h5py", "tifffile"} <= packages_of_extra("arrays").keys()
    assert "pydicom" in packages_of_extra("medical")
    assert packages_of_extra("") == {}


def test_a_run_that_read_images_otherwise_is_not_predicted(tmp_path: Path) -> None:
    write_tables(tmp_path)
    colours(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        initialise(tmp_path, "scratch")
        tiles = ["data.tiles.count=4", "data.tiles.size=6"]
        run = train(tmp_path, [*TINY, *tiles], name="a")
        with pytest.raises(DataError, match="read in another way than config.json says") as caught:
            tta(tmp_path, [run.folder], views="plain")
        assert caught.value.code == "D60"
        assert [case.path for case in caught.value.cases] == ["data.tiles"]
        config = json.loads((tmp_path / "config.json").read_text())
        config["data"]["tiles"] = {"count": 4, "size": 6}
        (tmp_path / "config.json").write_text(json.dumps(config))
        tta(tmp_path, [run.folder], views="plain")


@pytest.mark.parametrize("changed", ["data.bit_depth=16", "data.max_value=4095", "data.page=1"])
def test_other_pixels_of_the_same_files_are_not_predicted(space: Path, changed: str) -> None:
    with pytest.raises(DataError, match="read in another way than config.json says") as caught:
        tta(Workspace.open(space, [changed]), ["runs/a"])
    assert [case.path for case in caught.value.cases] == [changed.partition("=")[0]]
