"""A run's dtype on another device than it was trained on: `auto` is chosen again, a named dtype stays."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.device import precision
from kit.device.precision import Precision
from kit.engine.learner import Learner, learner
from kit.errors import CheckpointError, KitWarning
from kit.experiment.prediction_file import load_for_prediction, precision_of
from kit.experiment.run_context import prepare_run
from kit.model import checkpoints
from kit.runs.run import Run
from kit.stages.bundles.packing import bundle
from kit.stages.bundles.predicting import predict_bundle
from kit.stages.bundles.prediction import PredictionInput
from kit.stages.final.jobs import on_all_rows
from kit.stages.prediction.tta import tta
from kit.stages.training.parallel import jobs_of
from kit.stages.training.soup import make_soup
from kit.stages.training.train import train
from tests.drawing import draw_competition

CPU = torch.device("cpu")
Units = Callable[[bool], None]


@pytest.fixture
def bfloat16_units(monkeypatch: pytest.MonkeyPatch) -> Units:
    """Pretends that this CPU has units for bfloat16, or has not."""

    def pretend(there: bool) -> None:
        monkeypatch.setattr(precision, "has_bfloat16_units", lambda: there)

    return pretend


@pytest.fixture
def moved(tmp_path: Path, bfloat16_units: Units) -> Path:
    """A workspace with the run `r`, of `precision` auto and begun in bfloat16, on a device without it."""
    root = draw_competition(tmp_path / "space", precision="auto", epochs=1)
    bfloat16_units(True)
    train(root, name="r")
    assert json.loads((root / "runs/r/config.json").read_text())["precision"] == "bfloat16"
    bfloat16_units(False)
    return root


def newest(root: Path, run: str = "r", fold: int = 0) -> Path:
    path = checkpoints.newest(root / "runs" / run / f"fold-{fold}")
    assert path is not None
    return path


def settings_in(caught: list[warnings.WarningMessage]) -> list[str]:
    return [str(one.message) for one in caught if "W61" in str(one.message)]


def test_a_run_of_auto_predicts_in_the_dtype_of_the_device_and_says_so_once(moved: Path) -> None:
    with pytest.warns(
        KitWarning, match="W61 run r was started with bfloat16; predicting on cpu uses float32"
    ) as caught:
        tta(moved, ["runs/r"], "hflip")
    assert len(set(settings_in(list(caught)))) == 1
    with pytest.warns(KitWarning, match="W61"):
        assert load_for_prediction(newest(moved), moved, CPU).precision.predict == "float32"


@pytest.mark.parametrize(("capability", "dtype"), [((8, 0), "bfloat16"), ((7, 5), "float16")])
def test_a_gpu_without_bfloat16_predicts_in_float16(
    moved: Path, monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    about = checkpoints.load(newest(moved)).provenance
    network = torch.nn.Conv2d(3, 4, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert precision_of(about, network, torch.device("cuda")) == Precision(dtype, dtype, "channels_last")


def test_a_run_resumes_in_the_dtype_of_the_device(tmp_path: Path, bfloat16_units: Units) -> None:
    root = draw_competition(tmp_path / "space", precision="auto", epochs=2)
    bfloat16_units(True)
    train(root, name="r", folds=[0])
    bfloat16_units(False)
    with pytest.warns(KitWarning, match="W61 run r was started with bfloat16; training on cpu uses float32"):
        train(root, name="r")
    assert checkpoints.load(newest(root, fold=1)).provenance.require_config()["precision"] == "float32"


def test_on_the_same_device_nothing_is_chosen_otherwise(moved: Path, bfloat16_units: Units) -> None:
    bfloat16_units(True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", KitWarning)
        assert load_for_prediction(newest(moved), moved, CPU).precision == Precision(
            "bfloat16", "bfloat16", "channels_last"
        )
        train(moved, name="r")


def test_a_named_dtype_stays(tmp_path: Path, bfloat16_units: Units) -> None:
    root = draw_competition(tmp_path / "space", precision="bfloat16", epochs=1)
    train(root, name="r")
    bfloat16_units(False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", KitWarning)
        assert load_for_prediction(newest(root), root, CPU).precision.predict == "bfloat16"


def test_workers_of_an_executor_choose_for_their_own_device(moved: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        setting = finish(prepare_run(Workspace.open(moved), Run(moved / "runs/r")))
    for fold in (0, 1):
        (moved / f"runs/r/fold-{fold}/oof.parquet").unlink()
    for job in jobs_of(setting, [0, 1]):
        assert (job.config["precision"], job.config["memory_format"]) == ("auto", "auto")
        assert job.config["batch_size"] == 8


def test_kit_final_and_a_soup_ask_for_what_the_run_asked_for(moved: Path) -> None:
    _, space = on_all_rows(Workspace.open(moved), Run(moved / "runs/r"), None)
    assert (space.experiment.precision, space.experiment.memory_format) == ("auto", "auto")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(moved, ["seed=1"], name="s")
        soup = make_soup(moved, ["runs/r", "runs/s"], "both")
    about = checkpoints.load(newest(moved, soup.run.name)).provenance
    assert about.require_config()["precision"] == "float32"
    assert (about.asked or {})["precision"] == "auto"


def test_a_bundle_predicts_in_the_dtype_of_its_device(moved: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tta(moved, ["runs/r"])
    bundle(moved, ["runs/r"], tmp_path / "bundle")
    given = PredictionInput(moved / "data/images", moved / "data/sample_submission.csv")
    with pytest.warns(
        KitWarning, match="W61 run r was started with bfloat16; predicting on cpu uses float32"
    ):
        predict_bundle(tmp_path / "bundle", given, tmp_path / "out.csv", tmp_path / "work")


def test_a_record_of_what_was_asked_that_is_damaged_is_an_error(moved: Path) -> None:
    about = replace(checkpoints.load(newest(moved)).provenance, asked={"precision": "float4"})
    with pytest.raises(CheckpointError, match="D53"):
        precision_of(about, torch.nn.Conv2d(3, 4, 3), CPU)


def test_a_checkpoint_of_float16_loads_where_training_is_in_another_dtype_and_the_other_way_round() -> None:
    def of(dtype: str) -> Learner:
        network = torch.nn.Linear(2, 2)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        return learner(network, optimizer, Precision(dtype, dtype, "contiguous"))

    half, full = of("float16"), of("bfloat16")
    half.scaler.scale(torch.ones(()))
    for one, other in ((half, full), (full, half)):
        other.load(one.state(), one.network.state_dict(), None)


def test_one_stage_with_too_small_images_makes_the_run_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bfloat16_units: Units
) -> None:
    bfloat16_units(True)
    monkeypatch.setattr(precision, "has_amx", lambda: False)
    # five convolutions with a stride of 2: the last one sees 2 px of 32, and 1 px of 16
    backbone = {"name": "small", "width": 1, "stages": 6}
    root = draw_competition(tmp_path, precision="auto", backbone=backbone, image_size=32, cache_size=32)
    for size, dtype in ((32, "bfloat16"), (16, "float32")):
        config = ["stages=" + json.dumps([{"epochs": 1}, {"epochs": 1, "image_size": size}])]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            workspace = Workspace.open(root, config)
            context = finish(prepare_run(workspace, Run(workspace.runs / f"r{size}")))
        assert context.precision.train == dtype
        assert ["W64" in str(each.message) for each in caught] == [True] * (size == 16)
