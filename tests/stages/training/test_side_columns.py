"""Networks with side columns: what every way of predicting gives is what the fold's network gives its rows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from kit.commands._menu import run as command
from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.data.predictions import Predictions
from kit.engine.step import mix_with_side
from kit.errors import ConfigError, DataError, KitWarning
from kit.experiment.prediction_file import load_for_prediction
from kit.experiment.run_context import prepare_run
from kit.kinds import Loss
from kit.model import checkpoints
from kit.model.network import Network
from kit.runs.run import Run, config_identity
from kit.stages.blending.blend import blend
from kit.stages.bundles.packing import bundle
from kit.stages.bundles.predicting import predict_bundle
from kit.stages.bundles.prediction import PredictionInput
from kit.stages.final.final import plan, run_final
from kit.stages.prediction.embed import embed
from kit.stages.prediction.tta import tta
from kit.stages.pseudo_labelling.pseudo import PseudoRequest, pseudo
from kit.stages.pseudo_labelling.rule import Rule
from kit.stages.training.soup import make_soup
from kit.stages.training.train import train
from tests.drawn_columns import draw_columns

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace with the run `a`, whose columns decide, and its test predictions."""
    root = draw_columns(tmp_path_factory.mktemp("side") / "space", columns="mlp")
    train(root, name="a")
    tta(root, ["runs/a"], "hflip")
    return root


@pytest.fixture
def root(once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(once, tmp_path / "space"))


def oof(root: Path, name: str, views: str = "plain") -> Predictions:
    return Predictions.read(root / "runs" / name / "predictions" / views / "oof.parquet")


def test_columns_that_decide_are_learned_and_images_of_noise_do_not_warn(root: Path) -> None:
    assert oof(root, "a").provenance.require_scores()["accuracy"] > 0.9
    train(root, ["columns=null"], name="images", folds=[0])
    truth = pd.read_csv(root / "data" / "train.csv", dtype=str).set_index("id")["label"] == "yes"
    plain = Predictions.read(root / "runs/images/fold-0/oof.parquet")
    assert abs(np.mean((plain.probabilities[:, 1] > 0.5) == truth[plain.ids.tolist()]) - 0.5) < 0.25


def by_hand(frame: pd.DataFrame, fitted: pd.DataFrame) -> np.ndarray:
    """Side values of the four columns, in kit's order, by pandas and numpy alone."""
    age, known = (pd.to_numeric(each["age"], errors="coerce") for each in (frame, fitted))
    blank = age.isna().to_numpy()
    scaled = ((age - known.mean()) / known.std(ddof=0)).fillna(0)
    zeros = np.zeros(len(frame))
    days, all_days = (
        (pd.to_datetime(each["taken"]) - pd.Timestamp("1970-01-01")).dt.days for each in (frame, fitted)
    )
    year, turn = 2 * np.pi * days / 365.2425, np.deg2rad(frame["turn"].astype(float))
    place = [frame["site"] == value for value in ("arm", "leg")]
    day = [(days - all_days.mean()) / all_days.std(ddof=0), np.sin(year), np.cos(year)]
    parts = [scaled, blank, *place, zeros, *day, zeros, np.sin(turn), np.cos(turn), zeros]
    return np.stack([np.asarray(part) for part in parts], axis=1).astype(np.float32)


def rows_of(root: Path, ids: np.ndarray, name: str) -> pd.DataFrame:
    return (
        pd.read_csv(root / "data" / f"{name}.csv", dtype=str, keep_default_na=False).set_index("id").loc[ids]
    )


def read_rgb(file: Path) -> np.ndarray:
    import cv2

    pixels: np.ndarray | None = cv2.imread(str(file))
    assert pixels is not None
    return pixels[:, :, ::-1]


def predict_by_hand(root: Path, ids: np.ndarray, split: str, fold: int, flip: bool) -> np.ndarray:
    """Probabilities by the fold's checkpoint, from its weights and the tables."""
    folds = Run(root / "runs" / "a").folds()
    fitted = rows_of(root, folds.ids[~folds.oof_mask(fold)], "train")
    newest = checkpoints.newest(root / "runs" / "a" / f"fold-{fold}")
    assert newest is not None
    network = load_for_prediction(newest, root, CPU).network
    side = torch.from_numpy(by_hand(rows_of(root, ids, split), fitted))
    images = np.stack([read_rgb(root / "data" / "images" / f"{name}.png") for name in ids])
    shown = torch.from_numpy(images.copy()).permute(0, 3, 1, 2)
    views = [shown, shown.flip(3)] if flip else [shown]
    with torch.inference_mode():
        return np.asarray(torch.stack([network(view, side).softmax(1) for view in views]).mean(0))


def test_predictions_are_those_of_the_weights_and_of_values_by_hand(root: Path) -> None:
    """The last row of test has a site that no training row has, the first no age."""
    for fold in (0, 1):
        held = Predictions.read(root / "runs" / "a" / f"fold-{fold}" / "oof.parquet")
        wanted = predict_by_hand(root, held.ids, "train", fold, flip=False)
        np.testing.assert_allclose(held.probabilities, wanted, atol=1e-5)
        both = oof(root, "a", "hflip")
        both = both.take(both.folds == fold)
        np.testing.assert_allclose(
            both.probabilities, predict_by_hand(root, both.ids, "train", fold, flip=True), atol=1e-5
        )
        test = Predictions.read(root / "runs" / "a" / "predictions" / "hflip" / "test.parquet")
        test = test.take(test.folds == fold)
        np.testing.assert_allclose(
            test.probabilities, predict_by_hand(root, test.ids, "test", fold, flip=True), atol=1e-5
        )


def test_a_run_that_was_stopped_resumes_to_the_same_bits(root: Path) -> None:
    whole, run = oof(root, "a"), root / "runs" / "a"
    shutil.rmtree(run / "predictions")
    for fold in (0, 1):
        (run / f"fold-{fold}" / "oof.parquet").unlink()
        shutil.rmtree(run / f"fold-{fold}" / "0004")
    train(root, name="a")
    np.testing.assert_array_equal(oof(root, "a").probabilities, whole.probabilities)


def test_another_cell_of_a_training_row_is_another_run(root: Path) -> None:
    file = root / "data" / "train.csv"
    (root / "runs/a/fold-0/oof.parquet").unlink()
    file.write_text(file.read_text().replace("r005,", "r005,9", 1))
    with pytest.raises(DataError, match="started with different inputs") as raised:
        train(root, name="a", folds=[0])
    assert raised.value.code == "D60"
    assert "columns" in str(raised.value)


def test_another_cell_of_a_test_row_is_predicted_again(root: Path) -> None:
    (again,) = tta(root, ["runs/a"], "hflip")
    assert not again.computed
    file = root / "data" / "test.csv"
    file.write_text(file.read_text().replace("r050,", "r050,9", 1))
    (again,) = tta(root, ["runs/a"], "hflip")
    assert again.computed


def test_odd_cells_of_test_rows_are_missing_ones(root: Path) -> None:
    frame = pd.read_csv(root / "data" / "test.csv", dtype=str, keep_default_na=False)
    frame.loc[0, ["age", "site", "taken", "turn"]] = ["", "", "", ""]
    frame.loc[1, ["age", "site", "taken", "turn"]] = ["inf", "NA", "soon", "left"]
    frame.to_csv(root / "data" / "test.csv", index=False)
    same = root / "data" / "images"
    shutil.copyfile(same / f"{frame['id'][0]}.png", same / f"{frame['id'][1]}.png")
    with pytest.warns(KitWarning, match="W87 .*age 1, taken 1, turn 1"):
        tta(root, ["runs/a"])
    test = Predictions.read(root / "runs" / "a" / "predictions" / "plain" / "test.parquet")
    of_first = test.take(test.folds == 0)
    np.testing.assert_array_equal(of_first.probabilities[0], of_first.probabilities[1])


def test_soups_mixing_and_equal_averages_follow_the_columns(root: Path) -> None:
    more = ["loss=mixup", "swa_start=0.5", "micro_batch_size=5", "columns.drop=0"]
    with pytest.raises(ConfigError, match="C11"):
        train(root, more, name="a", folds=[0])
    train(root, ["seed=1", "epochs=1"], name="b")
    soup = make_soup(root, ["runs/a", "runs/b"], "s")
    assert soup.ingredients == {0: ("a", "b"), 1: ("a", "b")}
    train(root, [*more, "epochs=2"], name="c")
    with pytest.raises(ConfigError, match=r"C16(.|\n)*columns"):
        make_soup(root, ["runs/a", "runs/c"], "t")


def test_a_bundle_predicts_rows_that_the_workspace_does_not_have(root: Path, tmp_path: Path) -> None:
    blend(Workspace.open(root), ["runs/a@hflip"], "mean")
    (record,) = (root / "submissions").glob("*.json")
    bundle(root, [str(record)], tmp_path / "b")
    given = PredictionInput(root / "data/images", root / "data/sample_submission.csv", root / "data/test.csv")
    predict_bundle(tmp_path / "b", given, tmp_path / "out.csv", tmp_path / "work")
    assert (tmp_path / "out.csv").read_text() == record.with_suffix(".csv").read_text()
    lacking = tmp_path / "lacking.csv"
    pd.read_csv(root / "data/test.csv", dtype=str).drop(columns="site").to_csv(lacking, index=False)
    with pytest.raises(ConfigError, match="the test table has no column 'site'"):
        predict_bundle(
            tmp_path / "b",
            PredictionInput(given.images, given.sample, lacking),
            tmp_path / "out.csv",
            tmp_path / "again",
        )


def test_networks_of_all_rows_and_of_pseudo_labels_take_the_columns(root: Path) -> None:
    """Pseudo-labelled rows are test rows: their columns follow the training rows' ones."""
    space = Workspace.open(root)
    result = run_final(space, plan(space, ["runs/a@hflip"], "mean", seeds=[0]), "last")
    test = Predictions.read(root / "runs" / result.runs[0] / "predictions" / "hflip" / "test.parquet")
    truth = np.arange(12) % 2
    assert np.mean((test.probabilities[2:, 1] > 0.5) == truth[2:]) > 0.9
    pseudo(root, ["runs/a@hflip"], "p", PseudoRequest(Rule(0.0)))
    train(root, ["pseudo_labels=pseudo_labels/p", "epochs=1"], name="student", folds=[0])
    setting = finish(
        prepare_run(Workspace.open(root, ["pseudo_labels=pseudo_labels/p"]), Run(root / "runs/x"))
    )
    side = setting.side_of(0)
    assert side is not None
    own = side.encoder.encode(setting.loaded.table, "train").of(np.arange(48))
    both = side.of(np.arange(60))
    np.testing.assert_array_equal(both[:48], own)
    assert both[48, 1] == 1  # the first test row has no age
    assert not both[49, 2:5].any()  # the second a new site


def test_embeddings_are_the_features_of_the_image_alone(root: Path) -> None:
    embed(root, ["runs/a"])
    features = np.load(root / "runs/a/embeddings/plain/0/test.npy")
    newest = checkpoints.newest(root / "runs/a/fold-0")
    assert newest is not None
    network = cast(Network, load_for_prediction(newest, root, CPU).network)
    assert features.shape[1] == network.embed(torch.zeros(1, 3, 16, 16)).shape[1]


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        (["data.columns=[]"], "C86"),
        (['data.columns=["label"]'], "C86"),
        (['data.columns=["height"]'], "C07"),
        (['data.column_kinds={"site":"number"}'], "D31"),
        (["columns=nothing"], "P02"),
    ],
)
def test_what_cannot_be_trained_is_said_before_an_image_is_read(
    root: Path, overrides: list[str], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_images(*given: Any, **options: Any) -> Iterator[Any]:
        raise AssertionError("images are read")

    monkeypatch.setattr("kit.experiment.run_context.load_rows", no_images)
    with pytest.raises(Exception, match=code) as raised:
        train(root, overrides, name="new")
    assert getattr(raised.value, "code", "") == code


OTHER_LABELS = '''
from kit.kinds import Loss


class Blended(Loss):
    """Mixes labels into shares."""

    def mix(self, images, labels, rng, progress=0.0):
        return images, [(1.0, labels.float() / 2)]

    def rows(self, outputs, labels):
        return outputs.sum(1)
'''


def test_a_loss_whose_mixing_columns_cannot_follow_is_refused(root: Path) -> None:
    (root / "plugins" / "loss").mkdir(parents=True)
    (root / "plugins" / "loss" / "blended.py").write_text(OTHER_LABELS)
    with pytest.raises(ConfigError, match="side columns cannot follow") as raised:
        train(root, ["loss=blended"], name="new")
    assert raised.value.code == "C87"


@pytest.mark.parametrize("name", ["mixup", "cutmix", "cutmix_or_mixup", "cross_entropy"])
def test_side_values_are_mixed_with_the_rows_and_shares_of_their_images(name: str) -> None:
    """Image, label and side value of row i are all i: they stay equal in the mean of a mixture."""
    loss, rows = Loss.open(name), torch.arange(6)
    images = rows.float().view(-1, 1, 1, 1).expand(-1, 3, 8, 8)
    for draw in range(5):
        mixed, shares, side = mix_with_side(
            loss, images, rows, rows.float().view(-1, 1), np.random.default_rng(draw), 0.0
        )
        labels = sum((share * label for share, label in shares), start=torch.zeros(6))
        assert isinstance(side, Tensor)
        torch.testing.assert_close(side.squeeze(1), labels)
        torch.testing.assert_close(mixed.mean((1, 2, 3)), labels)
        assert sum(share for share, _ in shares) == pytest.approx(1)


def test_a_network_without_columns_is_as_it_was(root: Path) -> None:
    """No new key identifies such a run, and columns that only kit stack uses change no bit."""
    assert "columns" not in config_identity(Experiment())
    train(root, ["columns=null", "epochs=1"], name="one", folds=[0])
    train(root, ["columns=null", "epochs=1", "data.columns=[]"], name="two", folds=[0])
    checkpoints_of_both = [checkpoints.latest(root / "runs" / name / "fold-0") for name in ("one", "two")]
    one, two = (each.weights for each in checkpoints_of_both if each is not None)
    assert {name.partition(".")[0] for name in one} == {"scale", "shift", "backbone", "head"}
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not any(each.provenance.columns for each in checkpoints_of_both if each is not None)


def test_the_command_takes_the_kind_as_any_other(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    options = ["columns=film", "columns.drop=0.2", "epochs=1", "--name", "film", "--folds", "0"]
    assert command(["train", *options]) == 0
    checkpoint = checkpoints.latest(root / "runs/film/fold-0")
    assert checkpoint is not None
    assert checkpoint.provenance.require_config()["columns"]["drop"] == 0.2
    assert command(["check", "--pipeline", "columns=film"]) == 0
