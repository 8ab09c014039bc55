"""Networks on bags of images, end to end: equal to loops over bags by hand, in training and in prediction."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from kit.config.workspace import Workspace
from kit.core.batching import even_batches
from kit.core.progress import finish
from kit.core.randomness import generator
from kit.data.predictions import Predictions
from kit.errors import ConfigError, DataError, KitWarning
from kit.experiment.batch_size import measure_config
from kit.experiment.fold_training import new_learner
from kit.experiment.prediction_file import load_for_prediction
from kit.experiment.run_context import prepare_run, scratch_run
from kit.model import checkpoints
from kit.model.network import Network
from kit.runs.run import Run
from kit.stages.bundles.packing import bundle
from kit.stages.bundles.predicting import predict_bundle
from kit.stages.bundles.prediction import PredictionInput
from kit.stages.final.final import plan, run_final
from kit.stages.prediction.tta import tta
from kit.stages.training.soup import make_soup
from kit.stages.training.train import train
from tests.blends import submit_blend
from tests.drawn_image_bags import draw_image_bags

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of bags with the run `bags` and its predictions by two views."""
    root = draw_image_bags(tmp_path_factory.mktemp("bags") / "space")
    train(root, name="bags")
    tta(root, ["runs/bags"], "hflip")
    return root


@pytest.fixture
def root(once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(once, tmp_path / "space"))


def predictions(root: Path, split: str, views: str = "plain", run: str = "bags") -> Predictions:
    return Predictions.read(root / f"runs/{run}/predictions/{views}/{split}.parquet")


def images_of(root: Path, bag: str) -> Tensor:
    """The images of a bag in the order of the column slice, (T, 3, H, W) uint8: the file names count backwards."""
    files = sorted((root / "data" / "images").glob(f"{bag}_*.png"), reverse=True)
    pixels = np.stack([np.asarray(cv2.imread(str(file)))[:, :, ::-1] for file in files])
    return torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2)


def pool(network: nn.Module, vectors: Tensor) -> Tensor:
    """The attention of Ilse et al. over the vectors of one bag, by its weights."""
    weights = dict(network.named_parameters())
    values, bias = weights["instances.pool.values.weight"], weights["instances.pool.values.bias"]
    scores = torch.tanh(vectors @ values.T + bias) @ weights["instances.pool.score.weight"].T
    return (scores.softmax(0) * vectors).sum(0)


def predict_by_hand(root: Path, run: str, fold: int, bag: str, flip: bool) -> np.ndarray:
    """The probabilities of a bag, its images one by one through the fold's network."""
    newest = checkpoints.newest(root / f"runs/{run}/fold-{fold}")
    assert newest is not None
    network = load_for_prediction(newest, root, CPU).network
    assert isinstance(network, Network)
    shown = images_of(root, bag)
    probabilities = []
    with torch.inference_mode():
        for view in [shown, shown.flip(3)] if flip else [shown]:
            vectors = torch.cat([network.embed(image[None]) for image in view])
            probabilities.append(network.head(pool(network, vectors)[None]).softmax(1)[0])
    return np.asarray(torch.stack(probabilities).mean(0))


@pytest.mark.parametrize(("split", "views"), [("oof", "plain"), ("oof", "hflip"), ("test", "hflip")])
def test_each_image_has_the_prediction_of_its_bag_by_a_loop_over_its_images(
    once: Path, split: str, views: str
) -> None:
    oof = predictions(once, split, views)
    wanted: dict[tuple[int, str], np.ndarray] = {}
    for name, fold, mine in zip(oof.ids.tolist(), oof.folds.tolist(), oof.probabilities, strict=True):
        key = fold, name.partition("_")[0]
        if key not in wanted:
            wanted[key] = predict_by_hand(once, "bags", *key, flip=views == "hflip")
        np.testing.assert_allclose(mine, wanted[key], atol=1e-5)
    images = pd.read_csv(once / f"data/{'train' if split == 'oof' else 'test'}.csv")["id"]
    assert sorted(set(oof.ids.tolist())) == sorted(images)


def test_training_equals_steps_by_hand_over_the_bags_of_a_batch(root: Path) -> None:
    options = ["optimizer=sgd", "optimizer.lr=0.1", "optimizer.momentum=0", "optimizer.weight_decay=0"]
    options += ["scheduler=constant", "augmenter=resize", "epochs=2", "seed=3"]
    train(root, options, name="hand", folds=[0])
    setting = finish(prepare_run(Workspace.open(root, options), scratch_run(Workspace.open(root))))
    network = new_learner(setting, 0).network.train()
    assert isinstance(network, Network)
    table, bags = setting.loaded.table, setting.image_bags
    assert bags is not None
    assert table.answers is not None
    first = bags.first_rows(setting.training_rows(0))
    labels = torch.from_numpy(table.targets())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for epoch in range(2):
        order = first[generator(3, "order", 0, epoch).permutation(len(first))]
        for part in even_batches(len(order), 6):
            chosen = order[part]
            each = [images_of(root, str(table.answers[row])) for row in chosen.tolist()]
            vectors = network.embed(torch.cat(each)).split([len(one) for one in each])
            outputs = network.head(torch.stack([pool(network, one) for one in vectors]))
            optimizer.zero_grad()
            nn.functional.cross_entropy(outputs, labels[chosen]).backward()
            optimizer.step()
    trained = checkpoints.load(root / "runs/hand/fold-0/0002").prediction_weights
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(trained[name], weight, atol=1e-4, rtol=1e-3)


def test_one_image_that_decides_is_learned(root: Path) -> None:
    train(root, ["epochs=15", "validate_every=15", "augmenter=resize"], name="long")
    assert predictions(root, "oof", run="long").provenance.require_scores()["auc"] > 0.9


def test_a_run_that_was_stopped_resumes_to_the_same_bits(root: Path) -> None:
    whole, run = predictions(root, "oof"), root / "runs/bags"
    shutil.rmtree(run / "predictions")
    for fold in (0, 1):
        (run / f"fold-{fold}/oof.parquet").unlink()
        shutil.rmtree(run / f"fold-{fold}/0003")
    train(root, name="bags")
    np.testing.assert_array_equal(predictions(root, "oof").probabilities, whole.probabilities)


def test_rows_are_bags_for_loader_processes_and_views_that_change_the_size(root: Path) -> None:
    before = predictions(root, "oof")
    (again,) = tta(root, ["runs/bags"], "hflip")
    assert not again.computed
    shutil.rmtree(root / "runs/bags/predictions")
    tta(Workspace.open(root, ["workers=1"]), ["runs/bags"], "plain")
    np.testing.assert_array_equal(predictions(root, "oof").probabilities, before.probabilities)


def test_another_order_is_predicted_again_and_another_training_order_is_another_run(root: Path) -> None:
    for name in ("train", "test"):
        file = root / f"data/{name}.csv"
        table = pd.read_csv(file)
        table["slice"] = -table["slice"]
        table.to_csv(file, index=False)
    (again,) = tta(root, ["runs/bags"], "hflip")
    assert again.computed
    (root / "runs/bags/fold-0/oof.parquet").unlink()
    with pytest.raises(DataError, match="D60"):
        train(root, name="bags", folds=[0])


def test_bags_blend_with_images_and_go_through_final_soup_and_bundle(root: Path, tmp_path: Path) -> None:
    train(root, ["instances=null"], name="single")
    tta(root, ["runs/single"], "hflip")
    submission = submit_blend(root, ["runs/bags@hflip", "runs/single@hflip"], "mean")
    assert submission.rows == 24
    (record,) = (root / "submissions").glob("*.json")
    bundle(root, [str(record)], tmp_path / "bundle")
    given = PredictionInput(root / "data/images", root / "data/sample_submission.csv", root / "data/test.csv")
    predict_bundle(tmp_path / "bundle", given, tmp_path / "out.csv", tmp_path / "work")
    assert (tmp_path / "out.csv").read_text() == record.with_suffix(".csv").read_text()
    space = Workspace.open(root)
    last = run_final(space, plan(space, ["runs/bags@hflip"], "mean"), "last")
    test = predictions(root, "test", "hflip", last.runs[0])
    wanted = predict_by_hand(root, last.runs[0], 0, "b24", flip=True)
    np.testing.assert_allclose(test.probabilities[test.ids == "b24_0"][0], wanted, atol=1e-5)
    train(root, ["seed=1", "epochs=1"], name="other")
    make_soup(root, ["runs/bags", "runs/other"], "soup")
    train(root, ["instances=max", "epochs=1"], name="max")
    with pytest.raises(ConfigError, match=r"C16(.|\n)*instances"):
        make_soup(root, ["runs/bags", "runs/max"], "mixed")


def test_an_image_that_cannot_be_read_takes_no_part_in_its_bag(root: Path) -> None:
    for name in ("b28_0", "b26_0", "b26_1"):
        (root / f"data/images/{name}.png").write_bytes(b"")
    with pytest.warns(KitWarning, match="class prior"):
        tta(Workspace.open(root, ["data.on_unreadable_test=class_prior"]), ["runs/bags"])
    test = predictions(root, "test")
    test = test.take(test.folds == 0)
    (root / "data/images/b28_0.png").unlink()
    assert "b28_0" not in test.ids.tolist()
    wanted = predict_by_hand(root, "bags", 0, "b28", flip=False)
    np.testing.assert_allclose(test.probabilities[test.ids == "b28_1"][0], wanted, atol=1e-5)
    table = pd.read_csv(root / "data/train.csv")["label"].value_counts(normalize=True)
    prior = [[table["no"], table["yes"]]] * 2
    blank = test.probabilities[np.isin(test.ids, ["b26_0", "b26_1"])]
    np.testing.assert_allclose(blank, prior, atol=1e-6)


def test_memory_is_measured_for_the_images_of_the_largest_bag(root: Path) -> None:
    bags, _, _ = measure_config(Workspace.open(root))
    single, _, _ = measure_config(Workspace.open(root, ["instances=null"]))
    limited, _, _ = measure_config(Workspace.open(root, ["instances.max_instances=1"]))
    activations = [each.parts(6)["activations"] for each in (single, limited, bags)]
    assert activations[1] < 1.5 * activations[0]
    assert activations[2] > 3 * activations[0]


def aggregate(root: Path, data: dict[str, object]) -> None:
    path = root / "config.json"
    config = json.loads(path.read_text())
    config["data"] |= data
    path.write_text(json.dumps(config))


@pytest.mark.filterwarnings("ignore:W41")
@pytest.mark.parametrize(
    ("overrides", "code", "says"),
    [
        (["data.answer=null"], "C84", "names no bags"),
        (["loss=mixup"], "C84", "mixes images"),
        (["compile=true"], "C84", "compile"),
        (["columns=mlp", 'data.columns=["slice"]'], "C84", "columns"),
        (["instances=gru", "data.order=null"], "C84", "uses the order"),
        (["data.order=slise"], "C07", "slice"),
    ],
)
def test_what_bags_of_images_do_not_support_is_refused(
    once: Path, overrides: Sequence[str], code: str, says: str
) -> None:
    with pytest.raises((ConfigError, DataError), match=code) as caught:
        train(once, overrides, name="refused")
    assert says in str(caught.value)
    assert not (once / "runs/refused/manifest.json").exists()


def test_a_large_bag_needs_a_limit(tmp_path: Path) -> None:
    root = draw_image_bags(tmp_path / "space")
    table = pd.read_csv(root / "data/train.csv")
    table = table[table["label"] == "no"].assign(bag="b00")
    more = pd.concat([table] * 3).reset_index(drop=True).assign(slice=lambda oof: oof.index)
    more["id"] = [f"n{row}" for row in range(len(more))]
    rng = np.random.default_rng(1)
    for name in more["id"]:
        cv2.imwrite(str(root / f"data/images/{name}.png"), rng.integers(1, 90, (8, 8, 3)).astype(np.uint8))
    yes = pd.read_csv(root / "data/train.csv").query("label == 'yes'")
    no = pd.read_csv(root / "data/train.csv").query("label == 'no' and bag != 'b00'")
    pd.concat([more, yes, no]).to_csv(root / "data/train.csv", index=False)
    with pytest.raises(ConfigError, match="C84") as caught:
        train(root, name="large")
    assert "instances.max_instances=16" in str(caught.value)
    train(root, ["instances.max_instances=2", "epochs=1"], name="large")
    assert Run(root / "runs/large").config["instances"]["max_instances"] == 2


def test_a_run_whose_bags_config_json_does_not_name_is_not_predicted(root: Path) -> None:
    aggregate(root, {"order": None})
    with pytest.raises(DataError, match=r"D60(.|\n)*data.order"):
        tta(root, ["runs/bags"], "flip")
