"""A competition of numbers from its files to a submission, a bundle and a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import kit
from kit.data.predictions import Predictions
from kit.kinds.targets import NUMBERS
from kit.model.checkpoints import newest, provenance_of
from kit.runs.run import Run
from kit.stages.blending.blend import Submitted
from kit.stages.reporting.gathering import gather_facts
from kit.stages.reporting.page import page

SMALL: dict[str, Any] = {
    "backbone": "small",
    "image_size": 16,
    "cache_size": 16,
    "epochs": 2,
    "splitter.folds": 2,
    "batch_size": 8,
    "augmenter": "resize",
}


@pytest.fixture(scope="module")
def competition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 rows whose two numbers are the brightness of red, from 100 to 355, and of green; 4 test rows."""
    root = tmp_path_factory.mktemp("numbers")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(28):
        colour = rng.integers(0, 256, 3)
        folder = root / ("train" if number < 24 else "test")
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.full((16, 16, 3), colour, np.uint8)).save(folder / f"p{number:02d}.png")
        rows.append((f"p{number:02d}", 100.5 + colour[0], colour[1] / 100))
    frame = pd.DataFrame(rows, columns=["id", "red", "green"])
    frame[:24].to_csv(root / "train.csv", index=False)
    sample = frame[24:][["id", "green", "red"]].assign(green=0.5, red=1.5)
    sample.to_csv(root / "sample_submission.csv", index=False)
    return root


@pytest.fixture(scope="module")
def trained(competition: Path) -> kit.Session:
    session = kit.init(competition, recipe="scratch", metric="r2", progress=False)
    config = json.loads((competition / "config.json").read_text())
    assert (config["data"]["target"], config["data"]["label"], config["loss"]) == ("numbers", None, "mse")
    session.train("r", **SMALL)
    return session


def test_predictions_are_in_the_labels_unit_and_scaled_by_the_folds_own_rows(
    trained: kit.Session, competition: Path
) -> None:
    frame = pd.read_csv(competition / "train.csv").set_index("id")
    folds = pd.read_csv(competition / "runs/r/folds.csv").set_index("id")["fold"]
    run = Run(competition / "runs/r")
    for fold in (0, 1):
        checkpoint = newest(run.fold(fold))
        assert checkpoint is not None
        known = provenance_of(checkpoint)
        own = frame[folds != fold][["green", "red"]]
        assert np.allclose(known.means, own.mean())
        assert np.allclose(known.scales, own.std(ddof=0))
    predictions = Predictions.read(run.predictions("plain") / "oof.parquet")
    assert (predictions.target, predictions.classes) == (NUMBERS, ("green", "red"))
    assert predictions.provenance.scores is not None
    assert set(predictions.provenance.scores) == {"r2", "rmse", "mae"}
    from sklearn.metrics import r2_score

    truth = frame.loc[predictions.ids.tolist(), ["green", "red"]].to_numpy()
    assert predictions.provenance.scores["r2"] == pytest.approx(r2_score(truth, predictions.probabilities))


def test_a_blend_writes_the_numbers_of_the_test_rows(trained: kit.Session, competition: Path) -> None:
    trained.tta("runs/r", views="hflip")
    submission = trained.blend("runs/r@hflip", ensembler="linear")
    assert isinstance(submission, Submitted)
    written = pd.read_csv(submission.path)
    assert list(written.columns) == ["id", "green", "red"]
    assert submission.format == "numbers"
    test = Predictions.read(competition / "runs/r/predictions/hflip/test.parquet").mean()
    assert written["id"].tolist() == sorted(test.ids.tolist())
    record = json.loads(submission.record.read_text())
    assert record["target"] == "numbers"


def test_the_report_plots_numbers(trained: kit.Session, competition: Path) -> None:
    text = page(gather_facts(competition, check=False))
    assert "red: predicted by true values" in text
    assert "Confusion matrix" not in text
    assert "Calibration" not in text
