"""2.5D: a slice and its neighbours, three grey files, are the channels of one image, entered with stock commands."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from kit.commands._menu import run as command
from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.table import train_table
from kit.errors import DataError
from kit.images.reader import ImageSource
from kit.stages.training.train import train

SIDE, SLICES, STUDIES, TESTS = 8, 6, 20, 3
NEIGHBOURS = "scans/{before} | scans/{id} | scans/{after}"
OPTIONS = [
    "backbone=small",
    "backbone.width=8",
    "backbone.stages=1",
    "image_size=8",
    "cache_size=8",
    "epochs=20",
    "augmenter=resize",
    "splitter.folds=2",
    "batch_size=16",
    "workers=0",
    "optimizer.lr=0.02",
    "ema_decay=0",
    "validate_every=20",
    "device=cpu",
]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey slices of studies. A slice is `up` if the next one is lighter than the previous one, whatever its own grey.

    The first slice of a study is its own previous one, and the last its own next one.
    """
    root, rng = tmp_path_factory.mktemp("scans") / "space", np.random.default_rng(0)
    (root / "scans").mkdir(parents=True)
    rows = []
    for study in range(STUDIES + TESTS):
        greys = rng.integers(40, 216, SLICES)
        names = [f"s{study:02d}_{place}" for place in range(SLICES)]
        for name, grey in zip(names, greys.tolist(), strict=True):
            noise = rng.normal(grey, 5, (SIDE, SIDE))
            cv2.imwrite(str(root / "scans" / f"{name}.png"), np.clip(noise, 0, 255).astype(np.uint8))
        for place, name in enumerate(names):
            before, after = max(place - 1, 0), min(place + 1, SLICES - 1)
            label = "up" if greys[after] > greys[before] else "down"
            rows.append((name, f"s{study:02d}", names[before], names[after], label))
    table = pd.DataFrame(rows, columns=["id", "study", "before", "after", "label"])
    is_test = table["study"] >= f"s{STUDIES:02d}"
    table[~is_test].to_csv(root / "train.csv", index=False)
    table[is_test].drop(columns="label").to_csv(root / "test.csv", index=False)
    table[is_test][["id"]].assign(up=0.5).to_csv(root / "sample_submission.csv", index=False)
    options = ("--images", NEIGHBOURS, "--test", "test.csv", "--group", "study")
    assert command(["init", str(root), *options, "--metric", "auc", "--recipe", "scratch"]) == 0
    return root


def test_the_channels_of_a_row_are_its_three_files(drawn: Path) -> None:
    workspace = Workspace.open(drawn)
    assert (workspace.competition.data.id, workspace.competition.data.group) == ("id", "study")
    table = train_table(drawn, workspace.competition.data)
    source = ImageSource.open(workspace.competition.data, drawn, workspace.experiment.channels)
    frame = pd.read_csv(drawn / "train.csv", dtype=str)
    for row in (0, 3, 5):
        pixels = source.read(table.paths[row]).pixels
        names = frame.loc[row, ["before", "id", "after"]]
        files = [str(drawn / "scans" / f"{name}.png") for name in names]
        greys = [np.asarray(cv2.imread(file, cv2.IMREAD_GRAYSCALE)) for file in files]
        np.testing.assert_array_equal(pixels, np.stack(greys, axis=2))


def test_neighbours_decide_and_a_slice_alone_does_not_know(
    drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(drawn)
    assert command(["train", "--name", "slices", *OPTIONS]) == 0
    assert command(["tta", "--checkpoints", "runs/slices", "--views", "hflip"]) == 0
    assert command(["blend", "runs/slices@hflip", "--name", "slices"]) == 0
    assert command(["train", "--name", "alone", *OPTIONS, "data.images=scans/{id}"]) == 0
    truth = pd.read_csv("train.csv", index_col="id")["label"] == "up"
    scores = {}
    for name in ("slices", "alone"):
        held_out = Predictions.read(drawn / f"runs/{name}/predictions/plain/oof.parquet")
        up = held_out.probabilities[:, list(held_out.classes).index("up")]
        scores[name] = roc_auc_score(truth[held_out.ids.tolist()], up)
    assert scores["slices"] > 0.9
    assert scores["alone"] < 0.75
    (file,) = (drawn / "submissions").glob("0001-*.csv")
    submission = pd.read_csv(file, index_col="id")["up"]
    test = pd.read_csv("test.csv")
    assert submission.index.tolist() == test["id"].tolist()


def test_slices_of_a_study_share_a_fold(drawn: Path) -> None:
    folds = pd.read_csv(drawn / "runs/slices/folds.csv", dtype=str)
    assert (folds.groupby(folds["id"].str[:3])["fold"].nunique() == 1).all()


def test_neighbours_of_unlike_sizes_are_refused(drawn: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8), np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((8, 9), np.uint8))
    source = ImageSource.open(Workspace.open(drawn).competition.data, drawn)
    with pytest.raises(DataError, match="D15") as caught:
        source.read(Path(f"{tmp_path}/a.png | {tmp_path}/b.png | {tmp_path}/a.png"))
    assert "unlike sizes (8 x 8, 9 x 8 pixels)" in str(caught.value)


def test_a_neighbour_that_does_not_exist_is_named_with_its_row(drawn: Path) -> None:
    table = drawn / "lost.csv"
    text = (drawn / "train.csv").read_text()
    table.write_text(text.replace("s03_2,s03,s03_1,s03_3", "s03_2,s03,s03_1,s03_9"))
    with pytest.raises(DataError, match="D02") as caught:
        train(drawn, [*OPTIONS, "data.train=lost.csv"], name="lost")
    assert "s03_9" in str(caught.value)
