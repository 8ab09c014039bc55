"""Retrieval of numbers and shares: the mean over the nearest training images, as scikit-learn's regressor has it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import root_mean_squared_error
from sklearn.neighbors import KNeighborsRegressor

from kit.config.workspace import Workspace
from kit.data.embeddings import Embeddings
from kit.data.folds import Folds
from kit.data.predictions import Predictions
from kit.data.table import train_table
from kit.errors import ConfigError
from kit.kinds import RetrievedNeighbours, Scorer
from kit.stages.blending.blend import Submitted, blend
from kit.stages.discovery.initialise import initialise
from kit.stages.prediction.embed import embed
from kit.stages.prediction.tta import tta
from kit.stages.retrieval.retrieve import retrieve
from kit.stages.submission.validation import check_submission
from kit.stages.training.train import train
from tests.entering import TINY

ROWS, TESTS = 24, 6


def draw(root: Path, target: str) -> Workspace:
    """Rows whose red and green are two numbers, or shares of two classes; trained and embedded."""
    rng = np.random.default_rng(0)
    names = [f"{folder}{row}" for folder, count in (("a", ROWS), ("t", TESTS)) for row in range(count)]
    colours = rng.integers(0, 256, (ROWS + TESTS, 3))
    for name, colour in zip(names, colours, strict=True):
        folder = root / ("train" if name[0] == "a" else "test")
        folder.mkdir(exist_ok=True)
        pixels = rng.normal(0, 10, (12, 12, 3)) + colour
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{name}.png")
    known = colours[:ROWS, :2] / 10 + 0.5
    if target == "shares":
        known = known / known.sum(axis=1, keepdims=True)
    frame = pd.DataFrame({"id": names[:ROWS], "red": known[:, 0], "green": known[:, 1]})
    frame.to_csv(root / "train.csv", index=False)
    sample = pd.DataFrame({"id": names[ROWS:], "red": 0.5, "green": 0.5})
    sample.to_csv(root / "sample_submission.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        initialise(root, "scratch", {"target": target})
        run = train(root, TINY, name="a")
        tta(root, [run.folder], views="plain")
        embed(root, ["runs/a"])
    return Workspace.open(root)


@pytest.mark.parametrize("target", ["numbers", "shares"])
@pytest.mark.parametrize("power", [None, 3.0])
def test_a_fold_of_scikit_learns_regressor_says_the_same(
    target: str, power: float | None, tmp_path: Path
) -> None:
    space = draw(tmp_path, target)
    scorer = {"name": "vote", "k": 3} if power is None else {"name": "power", "k": 3, "power": power}
    (result,) = retrieve(space, ["runs/a"], scorer)
    table, folds = train_table(space).sort_by_id(), Folds.read(space.runs / "a/folds.csv")
    assert table.target.kind == {"numbers": "numbers", "shares": "soft"}[target]
    oof, test = (Predictions.read(result.folder / f"{split}.parquet") for split in ("oof", "test"))
    # cosines of stored float16 vectors are off by some 1e-4
    weights = "uniform" if power is None else lambda distances: np.maximum(1 - distances, 0) ** power
    for fold in (0, 1):
        embeddings = Embeddings.read(space.runs / f"a/embeddings/plain/{fold}")
        vectors, held = embeddings.train.vectors.astype(np.float32), folds.oof_mask(fold)
        model = KNeighborsRegressor(3, metric="cosine", weights=weights)
        model.fit(vectors[~held], table.targets()[~held])  # the fold's own training rows alone
        mine = oof.take(oof.folds == fold).align(table.ids[held])
        np.testing.assert_allclose(mine, model.predict(vectors[held]), rtol=2e-3, atol=1e-5)
        mine = test.take(test.folds == fold).align(embeddings.test.ids)
        np.testing.assert_allclose(
            mine, model.predict(embeddings.test.vectors.astype(np.float32)), rtol=2e-3, atol=1e-5
        )


def test_a_blend_takes_the_network_and_retrieval_of_numbers(tmp_path: Path) -> None:
    space = draw(tmp_path, "numbers")
    (result,) = retrieve(space, ["runs/a"], "power")
    oof = Predictions.read(result.folder / "oof.parquet")
    truth = pd.read_csv(tmp_path / "train.csv").set_index("id").loc[oof.ids.tolist()][list(oof.classes)]
    expected = root_mean_squared_error(truth, oof.probabilities, multioutput="raw_values").mean()
    assert result.scores["rmse"] == pytest.approx(expected, rel=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = blend(tmp_path, ["runs/a@plain", result.member], ensembler="simplex")
    assert isinstance(written, Submitted)
    assert check_submission(space, written.path).faults == ()
    with pytest.raises(ConfigError, match="C17 the table has numbers, which scorer 'best_match' does not"):
        retrieve(space, ["runs/a"], "best_match")


def test_the_power_of_numbers_is_fitted_for_the_lowest_error() -> None:
    near = RetrievedNeighbours(
        np.array([[0.9, 0.3], [0.8, 0.2]], np.float32),
        np.zeros((2, 2), np.int64),
        1,
        values=np.array([[[5.0], [9.0]], [[1.0], [7.0]]]),
    )
    scorer = Scorer.open({"name": "power", "k": 2}).fit(near, np.array([[5.0], [1.0]]))
    assert scorer.model_dump()["power"] == 64  # the nearest image alone is right
    by_hand = [(0.9 * 5 + 0.3 * 9) / 1.2, (0.8 * 1 + 0.2 * 7) / 1.0]
    plain = Scorer.open({"name": "power", "k": 2, "power": 1.0}).score(near)
    assert plain[:, 0] == pytest.approx(by_hand, rel=1e-6)
    far = RetrievedNeighbours(-near.similarities, near.labels, 1, values=near.values)
    assert Scorer.open({"name": "power", "k": 2, "power": 1.0}).score(far)[:, 0].tolist() == [7.0, 4.0]
