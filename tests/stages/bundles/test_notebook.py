"""A bundle's notebook predicts a hidden test set of another size offline, in time; the real client uploads both."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.data.csv_file import read_csv
from kit.data.predictions import Predictions
from kit.errors import ConfigError, KitWarning
from kit.kinds.targets import ONE_CLASS
from kit.stages.bundles.bare_python import bare_python
from kit.stages.bundles.contents import BundledNetwork, Contents, Packed
from kit.stages.bundles.notebook import check_notebook
from kit.stages.bundles.predicting import Clock, predict_bundle
from kit.stages.bundles.prediction import PredictionInput
from kit.stages.bundles.timing import PredictionTime
from kit.stages.prediction.tta import tta
from tests.drawing import CLASSES, draw
from tests.kaggle_server import new_site, serve


@pytest.fixture(scope="module")
def workspace(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The trained run `a` of two folds, with hflip predictions, in the competition `digits`."""
    root = Path(shutil.copytree(trained_once, tmp_path_factory.mktemp("notebook") / "space"))
    config = json.loads((root / "config.json").read_text())
    (root / "config.json").write_text(json.dumps({**config, "kaggle": "digits"}))
    tta(root, ["runs/a"], "hflip")
    return Workspace.open(root)


@pytest.fixture(scope="module")
def packed(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with its notebook, as the command writes them."""
    out = tmp_path_factory.mktemp("packed") / "bundle"
    options = ["--notebook", "--kaggle-user", "somebody", "--time", "8h30m", "--json"]
    said, stderr = io.StringIO(), io.StringIO()
    with contextlib.chdir(workspace.root), redirect_stdout(said), redirect_stderr(stderr):
        assert run(["bundle", "runs/a@hflip", "--out", str(out), *options]) == 0
    out.with_name("said.json").write_text(said.getvalue())
    out.with_name("said.txt").write_text(stderr.getvalue())
    return out


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The competition's folder on Kaggle: 31 hidden test images, one of them broken and one missing."""
    root, rng = tmp_path_factory.mktemp("hidden") / "digits", np.random.default_rng(7)
    (root / "images").mkdir(parents=True)
    names = [f"h{number:02d}" for number in range(31)]
    for number, name in enumerate(names[:-1]):
        cv2.imwrite(str(root / "images" / f"{name}.png"), draw(CLASSES[number % 3], rng))
    (root / "images" / "h03.png").write_bytes(b"broken")
    (root / "sample_submission.csv").write_text("id,label\n" + "".join(f"{name},blob\n" for name in names))
    return root


def test_the_metadata_is_what_kaggle_asks_for(packed: Path) -> None:
    folder = packed.with_name("bundle-notebook")
    kernel = json.loads((folder / "kernel-metadata.json").read_text())
    assert kernel["id"] == "somebody/digits-bundle-predict"
    assert kernel["title"] == "digits bundle predict"
    assert not kernel["enable_internet"]
    assert kernel["is_private"]
    assert kernel["competition_sources"] == ["digits"]
    assert kernel["dataset_sources"] == ["somebody/digits-bundle"]
    data = json.loads((packed / "dataset-metadata.json").read_text())
    assert (data["id"], data["title"]) == ("somebody/digits-bundle", "digits bundle")
    nbformat.validate(nbformat.read(folder / kernel["code_file"], as_version=4))
    Contents.read(packed)  # the bundle is whole beside the new file


def test_the_notebook_runs_offline_on_another_test_set(packed: Path, hidden: Path, tmp_path: Path) -> None:
    """The layout of Kaggle, folders of the data set as zip files, and a Python without kit and ttach."""
    platform = tmp_path / "kaggle"
    attached = platform / "input" / "datasets" / "somebody" / "digits-bundle"
    attached.mkdir(parents=True)
    (platform / "working").mkdir()
    shutil.copytree(hidden, platform / "input" / "competitions" / "digits")
    for file in packed.iterdir():
        if file.is_dir():
            shutil.make_archive(str(attached / file.name), "zip", file)
        elif file.name != "dataset-metadata.json":
            shutil.copy(file, attached)
    python = bare_python(tmp_path / "python")
    for link in next((tmp_path / "python").glob("lib/*/site-packages")).glob("ttach*"):
        link.unlink()
    cells = json.loads((packed.with_name("bundle-notebook") / "predict.ipynb").read_text())["cells"]
    code = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "code")
    code = code.replace("/kaggle/", f"{platform}/")
    done = subprocess.run(
        [python, "-c", code],
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"},
        cwd=platform / "working",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    submission = read_csv(platform / "working" / "submission.csv")
    assert submission.column("id") == [f"h{number:02d}" for number in range(31)]
    assert set(submission.column("label")) <= set(CLASSES)
    assert "2 have the class prior, because their images are unusable: h03, h30" in done.stdout
    assert "31 rows" in done.stdout.splitlines()
    assert [file.name for file in (platform / "working").iterdir()] == ["submission.csv"]


def test_the_command_says_how_long_an_image_takes(packed: Path) -> None:
    about = json.loads(packed.with_name("said.json").read_text())["notebook"]
    assert about["time"]["device"] == "cpu"
    assert about["time"]["images"] == 10  # 12 test images here, less the 2 of the short pass
    said = packed.with_name("said.txt").read_text()
    assert re.search(r"s per image on cpu, measured here with 10 images: 10,000 images take ", said)
    assert "8h30m is enough for " in said
    assert f"kaggle datasets create -p {packed} --dir-mode zip" in said
    assert f"kaggle kernels push -p {packed}-notebook" in said


def test_the_package_kaggle_uploads_both(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(new_site(), tmp_path / "home", monkeypatch) as site:
        from kaggle.api.kaggle_api_extended import KaggleApi

        api = KaggleApi()
        api.authenticate()
        status = api.dataset_create_new(str(packed), quiet=True, dir_mode="zip")
        assert not status.error
        api.kernels_push(str(packed.with_name("bundle-notebook")))
    names = set(site.names.values())
    assert {"bundle.json", "predict.py", "kit.zip", "runs.zip", "ttach.zip"} <= names
    assert "dataset-metadata.json" not in names
    assert site.creations["CreateDataset"]["slug"] == "digits-bundle"
    assert site.creations["CreateDataset"]["isPrivate"]
    kernel = site.creations["SaveKernel"]
    assert kernel["slug"] == "somebody/digits-bundle-predict"
    assert kernel["enableInternet"] is False
    assert (kernel["competitionDataSources"], kernel["datasetDataSources"]) == (
        ["digits"],
        ["somebody/digits-bundle"],
    )
    assert json.loads(kernel["text"])["nbformat"] == 4


def test_a_time_is_a_sentence_by_hand() -> None:
    sentence = PredictionTime(0.09, 40, "cuda").describe(30600)
    assert sentence == (
        "0.0900 s per image on cuda, measured here with 40 images: 10,000 images take 15m; 8h30m is enough for "
        "340,000 images"
    )


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"user": None}, "C56"),
        ({"user": "some body"}, "C56"),
        ({"time_limit": "soon"}, "C05"),
    ],
)
def test_what_a_notebook_needs_is_checked_first(
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, str | None],
    code: str,
) -> None:
    monkeypatch.delenv("KAGGLE_USERNAME", raising=False)
    options = {"user": "somebody", "time_limit": None, **given}
    with pytest.raises(ConfigError) as error_info:
        check_notebook(workspace, tmp_path / "b", **options)
    assert error_info.value.code == code
    monkeypatch.setenv("KAGGLE_USERNAME", "somebody")
    assert check_notebook(workspace, tmp_path / "b", None, None) == "somebody"
    (tmp_path / "b-notebook").mkdir()
    with pytest.raises(ConfigError, match="already exists"):
        check_notebook(workspace, tmp_path / "b", None, None)


# ------------------------------------------------------------------------------------------------- a time limit


@pytest.fixture
def given(hidden: Path) -> PredictionInput:
    return PredictionInput(hidden / "images", hidden / "sample_submission.csv")


def predict(
    packed: Path, given: PredictionInput, base: Path, limit: float | None
) -> tuple[list[str], list[str]]:
    """The labels, and the warnings."""
    limited = PredictionInput(given.images, given.sample, time_limit=limit)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        predict_bundle(packed, limited, base / "s.csv", base / "work")
    messages = [str(one.message) for one in said if issubclass(one.category, KitWarning)]
    return read_csv(base / "s.csv").column("label"), [text for text in messages if text.startswith("W67")]


def probabilities(base: Path) -> Predictions:
    return Predictions.read(base / "work" / "runs" / "a" / "predictions" / "hflip" / "test.parquet")


def test_a_generous_limit_changes_nothing(packed: Path, given: PredictionInput, tmp_path: Path) -> None:
    (tmp_path / "free").mkdir()
    (tmp_path / "limited").mkdir()
    free = predict(packed, given, tmp_path / "free", None)
    limited = predict(packed, given, tmp_path / "limited", 3600)
    assert free == limited == (free[0], [])
    one, other = probabilities(tmp_path / "free"), probabilities(tmp_path / "limited")
    assert one.folds.tolist() == other.folds.tolist()
    assert np.array_equal(one.probabilities, other.probabilities)


def test_networks_that_do_not_fit_are_left_out(
    packed: Path, given: PredictionInput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Clock, "allows_another", lambda self: False)
    _, messages = predict(packed, given, tmp_path, 3600)
    assert messages == ["W67 within 1h00m 1 of 2 networks per member predicted"]
    assert set(probabilities(tmp_path).folds.tolist()) == {0}
    monkeypatch.undo()
    assert predict(packed, given, tmp_path, None)[1] == []  # a second start has time for the other one
    assert set(probabilities(tmp_path).folds.tolist()) == {0, 1}


def test_rows_that_are_not_reached_get_the_class_prior(
    packed: Path, given: PredictionInput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([False])
    monkeypatch.setattr(Clock, "is_over", lambda self: next(looks, True))
    monkeypatch.setattr(Clock, "allows_another", lambda self: False)
    labels, messages = predict(packed, given, tmp_path, 3600)
    assert len(labels) == 31
    assert messages == [
        "W67 within 1h00m 1 of 2 networks per member predicted; rows that were not reached have the class prior"
    ]
    monkeypatch.undo()
    again = predict(packed, given, tmp_path, None)
    (tmp_path / "fresh").mkdir()
    assert again == predict(packed, given, tmp_path / "fresh", None)


def test_a_round_adds_a_network_to_each_member() -> None:
    def member(name: str, *numbers: int) -> Packed:
        networks = tuple(BundledNetwork(name, one, f"{name}/{one}", one) for one in numbers)
        return Packed(name, {"name": "plain"}, "mean", networks)

    whole = Contents((member("a", 0, 1, 2), member("b", 2)), {}, {}, ONE_CLASS, (), (), {})
    assert whole.rounds() == 3
    parts = [[one.numbers() for one in whole.select_networks(count).members] for count in (1, 2, 3)]
    assert parts == [[[0], [2]], [[0, 1], [2]], [[0, 1, 2], [2]]]


def test_a_clock_keeps_a_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("kit.stages.bundles.predicting.time.monotonic", lambda: now[0])
    clock = Clock(1000)
    clock.begin_round()
    now[0] = 440.0
    assert clock.allows_another()  # 1000 - 50 - 440 = 510 is more than 1.1 * 440 = 484
    now[0] = 460.0
    assert not clock.allows_another()  # 490 is less than 506
    now[0] = 949.0
    assert not clock.is_over()
    now[0] = 950.0
    assert clock.is_over()
    assert not Clock(None).is_over()
