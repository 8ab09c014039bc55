"""bags: a label per bag, predictions per bag, folds of whole bags, and clear errors for tables that contradict."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from kit.data.embeddings import Embeddings
from kit.data.folds import Folds
from kit.data.predictions import Predictions
from kit.errors import ConfigError, DataError
from kit.kinds import Classes
from kit.model.checkpoints import load
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train
from tests.blends import submit_blend
from tests.drawn_bags import draw_bags

BAGS = ("backbone=embeddings", "backbone.run=bare", "instances=attention", "instances.hidden=4")


@pytest.fixture(scope="module")
def drawn_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 labelled and 6 other bags of 1 to 4 vectors; that of image 026_00 is zero, and all of bag 27."""
    rng = np.random.default_rng(0)
    bags = [rng.normal(size=(1 + number % 4, 6)) for number in range(30)]
    bags[26][0], bags[27][:] = 0, 0
    return draw_bags(tmp_path_factory.mktemp("bags") / "space", bags, [n % 2 for n in range(30)], train=24)


@pytest.fixture
def drawn(drawn_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn_once, tmp_path / "space"))


def predictions(root: Path, split: str, run: str = "bags") -> Predictions:
    return Predictions.read(root / f"runs/{run}/predictions/plain/{split}.parquet")


def bag_of(name: str) -> str:
    return name.partition("_")[0]


def test_each_bag_is_predicted_as_a_whole_by_the_network_that_never_saw_it(drawn: Path) -> None:
    train(drawn, BAGS, name="bags")
    bag_predictions, folds = predictions(drawn, "oof"), Folds.read(drawn / "runs/bags/folds.csv")
    vectors = Embeddings.read(drawn / "runs/bare/embeddings/plain/untrained").train
    fold_of = dict(zip(folds.ids.tolist(), folds.numbers[:, 0].tolist(), strict=True))
    names = vectors.ids.tolist()
    for fold in range(2):
        weights = load(drawn / f"runs/bags/fold-{fold}/0002").prediction_weights
        trained = np.array([fold_of[name] != fold for name in names])
        features = vectors.vectors.astype(np.float64)
        mean, deviation = features[trained].mean(0), features[trained].std(0)
        np.testing.assert_allclose(weights["mean"].numpy(), mean, atol=1e-5)
        for bag in {bag_of(name) for name in names if fold_of[name] == fold}:
            rows = [row for row, name in enumerate(names) if bag_of(name) == bag]
            assert {fold_of[names[row]] for row in rows} == {fold}
            shown = torch.as_tensor((features[rows] - mean) / deviation, dtype=torch.float32)
            hidden = torch.tanh(
                shown @ weights["instances.pool.values.weight"].T + weights["instances.pool.values.bias"]
            )
            shares = (hidden @ weights["instances.pool.score.weight"].T).softmax(0)
            pooled = (shares * shown).sum(0)
            (scale, bias) = weights["head.1.weight"], weights["head.1.bias"]
            expected = nn.functional.linear(pooled, scale, bias).softmax(0).numpy()
            for row in rows:
                mine = bag_predictions.probabilities[bag_predictions.ids == names[row]]
                np.testing.assert_allclose(mine, expected[None], atol=1e-5)


def test_scores_blends_and_submissions_are_of_bags(drawn: Path) -> None:
    train(drawn, BAGS, name="bags")
    train(drawn, ["backbone=embeddings", "backbone.run=bare"], name="single")
    submission = submit_blend(drawn, ["bags", "single"])
    assert submission.rows == 24
    (file,) = (drawn / "submissions").glob("0001-*.csv")
    assert pd.read_csv(file)["bag"].tolist() == [f"b{number:03d}" for number in range(24, 30)]


def test_an_image_without_a_vector_takes_no_part_and_a_bag_without_one_gets_the_prior(drawn: Path) -> None:
    train(drawn, BAGS, name="bags")
    bag_predictions = predictions(drawn, "test")
    names = bag_predictions.ids.tolist()
    assert "026_00" not in names
    assert "026_01" in names
    of_blank = bag_predictions.probabilities[[bag_of(name) == "027" for name in names]]
    labels = pd.read_csv(drawn / "data/train.csv")["label"].value_counts(normalize=True)
    np.testing.assert_allclose(
        of_blank, np.tile([[labels["no"], labels["yes"]]], (len(of_blank), 1)), atol=1e-6
    )


def test_the_order_of_slices_is_that_of_the_column_and_a_changed_one_is_refused(drawn: Path) -> None:
    ordered = [
        "backbone=embeddings",
        "backbone.run=bare",
        "instances=gru",
        "instances.hidden=2",
        "data.order=slice",
    ]
    train(drawn, ordered, name="bags")
    first = predictions(drawn, "oof")
    for file in ("train", "test"):
        path = drawn / f"data/{file}.csv"
        table = pd.read_csv(path, dtype=str)
        table["slice"] = (-table["slice"].astype(int)).astype(str)
        table.to_csv(path, index=False)
    with pytest.raises(DataError, match="D60"):
        train(drawn, [*ordered, "epochs=2"], name="bags", folds=[0]) if _lose_oof(drawn) else None
    train(drawn, ordered, name="turned")
    assert not np.allclose(predictions(drawn, "oof", "turned").probabilities, first.probabilities, atol=1e-4)


def _lose_oof(root: Path) -> bool:
    """Makes the run's fold 0 unfinished."""
    (root / "runs/bags/fold-0/oof.parquet").unlink()
    return True


def test_class_counts_of_a_loss_are_those_of_bags(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    from kit.plugins.loss.cross_entropy import CrossEntropy

    plain = CrossEntropy.with_classes

    def note(self: CrossEntropy, known: Classes) -> CrossEntropy:
        seen.append(known.counts)
        return plain(self, known)

    monkeypatch.setattr(CrossEntropy, "with_classes", note)
    train(drawn, BAGS, name="bags")
    assert (12, 12) in seen


def edit(column: str, change: Callable[[pd.DataFrame], str], file: str = "train") -> Callable[[Path], None]:
    """A table whose first row has another cell."""

    def write(root: Path) -> None:
        path = root / f"data/{file}.csv"
        table = pd.read_csv(path, dtype=str)
        table.loc[0, column] = change(table)
        table.to_csv(path, index=False)

    return write


def other_place(table: pd.DataFrame) -> str:
    """The place of another image of the first image's bag."""
    same = table[(table["bag"] == table["bag"][0]) & (table.index > 0)]
    place: str = same["slice"].iloc[0]
    return place


def first_bag_is_large(root: Path) -> None:
    path = root / "data/train.csv"
    table = pd.read_csv(path, dtype=str)
    table["size"] = table.groupby("bag")["id"].transform("count")
    table.sort_values("size", ascending=False, kind="stable").drop(columns="size").to_csv(path, index=False)


def aggregate_by(name: str) -> Callable[[Path], None]:
    """A config whose aggregator is another one."""

    def write(root: Path) -> None:
        path = root / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "aggregator": name}))

    return write


ORDER = ("instances=lstm", "data.order=slice")


@pytest.mark.parametrize(
    ("prepare", "overrides", "code", "says"),
    [
        (None, ("data.answer=null",), "C84", "names no bags"),
        (None, ("instances=lstm",), "C84", "uses the order"),
        (None, ("instances=transformer", "instances.positions=true"), "C84", "uses the order"),
        (aggregate_by("noisy_or"), (), "C84", "'noisy_or' changes the prediction of a bag"),
        (aggregate_by("vote"), (), "C84", "aggregator=mean"),
        (None, ("instances=lstm", "data.order=slise"), "C07", "slice"),
        (
            edit("label", lambda table: "no" if table["label"][0] == "yes" else "yes"),
            (),
            "D89",
            "different labels",
        ),
        (edit("slice", lambda _: ""), ORDER, "D90", "'' is not a number"),
        (edit("slice", lambda _: "top", "test"), ORDER, "D90", "'top' is not a number"),
        (edit("slice", other_place), ORDER, "D90", "is also that of"),
    ],
)
def test_contradictions_are_refused(
    drawn: Path, prepare: Callable[[Path], None] | None, overrides: tuple[str, ...], code: str, says: str
) -> None:
    first_bag_is_large(drawn)
    if prepare is not None:
        prepare(drawn)
    with pytest.raises((ConfigError, DataError), match=code) as caught:
        train(drawn, [*BAGS[:3], *overrides], name="refused")
    assert says in str(caught.value)
    assert not (drawn / "runs/refused/manifest.json").exists()


def test_several_views_of_a_run_on_bags_are_refused(drawn: Path) -> None:
    train(drawn, [*BAGS, "epochs=1"], name="bags")
    with pytest.raises(ConfigError, match="C83"):
        tta(drawn, ["runs/bags"], "hflip")
