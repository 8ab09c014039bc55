"""on_features: heads on cached embeddings have folds, predictions and blends, and equal torch's own training."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from kit.config.workspace import Workspace
from kit.data.embeddings import Embeddings
from kit.data.folds import Folds
from kit.data.predictions import Predictions
from kit.data.table import train_table
from kit.errors import ConfigError, DataError, InvalidError, KitWarning
from kit.stages.prediction.embed import embed, embed_untrained
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train
from tests.blends import submit_blend
from tests.drawing import draw_competition
from tests.torch_heads import train_layer

PROBE = ("backbone=embeddings", "backbone.run=bare", "epochs=3")


@pytest.fixture(scope="module")
def embedded_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = draw_competition(tmp_path_factory.mktemp("embedded") / "space")
    embed_untrained(Workspace.open(root), "bare")
    return root


@pytest.fixture
def embedded(embedded_once: Path, tmp_path: Path) -> Path:
    """A workspace with embeddings by an untrained network as the run `bare`."""
    return Path(shutil.copytree(embedded_once, tmp_path / "space"))


def probe(root: Path, *overrides: str, name: str = "probe") -> Predictions:
    train(root, [*PROBE, *overrides], name=name)
    return Predictions.read(root / f"runs/{name}/predictions/plain/oof.parquet")


def vectors(root: Path) -> tuple[np.ndarray, np.ndarray, Folds]:
    """The features of the training rows, their labels, and the folds."""
    embeddings = Embeddings.read(root / "runs/bare/embeddings/plain/untrained").train
    labels = train_table(root).sort_by_id().targets()
    return embeddings.vectors.astype(np.float32), labels, Folds.read(root / "runs/bare/folds.csv")


def standardise(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    mean, deviation = features[rows].mean(0, dtype=np.float64), features[rows].std(0, dtype=np.float64)
    return np.asarray((features - mean) / np.where(deviation > 1e-6, deviation, 1), np.float32)


def test_a_probe_equals_torchs_own_training_of_a_linear_layer(embedded: Path) -> None:
    options = (
        "optimizer=sgd optimizer.lr=0.1 optimizer.momentum=0 optimizer.weight_decay=0 scheduler=constant"
    )
    predictions = probe(embedded, *options.split(), "ema_decay=0", "seed=3")
    features, labels, folds = vectors(embedded)
    for fold in range(2):
        rows, held = np.flatnonzero(~folds.oof_mask(fold)), np.flatnonzero(folds.oof_mask(fold))
        shown = torch.from_numpy(standardise(features, rows))
        layer = train_layer(shown, labels, rows, 3, fold)
        expected = layer(shown[held]).softmax(1).detach().numpy()
        np.testing.assert_allclose(predictions.probabilities[predictions.folds == fold], expected, atol=2e-5)


def test_a_probes_score_is_near_that_of_logistic_regression(embedded: Path) -> None:
    predictions = probe(embedded, "epochs=40")
    features, labels, folds = vectors(embedded)
    expected = np.zeros((len(labels), 3))
    for fold in range(2):
        rows, held = ~folds.oof_mask(fold), folds.oof_mask(fold)
        shown = standardise(features, np.flatnonzero(rows))
        expected[held] = (
            LogisticRegression(max_iter=1000).fit(shown[rows], labels[rows]).predict_proba(shown[held])
        )
    ours = predictions.align(train_table(embedded).sort_by_id().ids).astype(np.float64)
    ours /= ours.sum(1, keepdims=True)
    accuracies = [(shares.argmax(1) == labels).mean() for shares in (ours, expected)]
    assert abs(accuracies[0] - accuracies[1]) < 0.06
    expected /= expected.sum(1, keepdims=True)
    assert log_loss(labels, ours) < log_loss(labels, expected) + 0.1


def test_probes_of_two_heads_blend_and_predict_every_test_row(embedded: Path) -> None:
    one, _ = probe(embedded), probe(embedded, "head=mlp", "head.hidden=16", name="mlp")
    test = Predictions.read(embedded / "runs/probe/predictions/plain/test.parquet")
    assert sorted(set(test.ids.tolist())) == [f"{number:03d}" for number in range(60, 72)]
    assert sorted(set(test.folds.tolist())) == [0, 1]
    assert one.provenance.scores
    submission = submit_blend(embedded, ["probe", "mlp"])
    assert submission.rows == 60
    assert len(one) == 60


def test_a_finished_run_is_reused_and_a_missing_fold_is_trained_to_the_same_bits(embedded: Path) -> None:
    first = probe(embedded)
    shutil.rmtree(embedded / "runs/probe/fold-1")
    (embedded / "runs/probe/predictions/plain/oof.parquet").unlink()
    np.testing.assert_array_equal(probe(embedded).probabilities, first.probabilities)


def test_vectors_of_two_runs_are_joined(embedded: Path) -> None:
    shutil.copytree(embedded / "runs/bare", embedded / "runs/other")
    train(embedded, ["backbone=embeddings", 'backbone.run=["bare", "other"]', "epochs=1"], name="both")
    from kit.model.checkpoints import load

    weights = load(embedded / "runs/both/fold-0/0001").prediction_weights
    assert weights["mean"].shape[0] == 2 * vectors(embedded)[0].shape[1]


def test_each_fold_gets_the_vectors_of_its_own_network(space: Path) -> None:
    embed(space, ["runs/a"])
    train(space, ["backbone=embeddings", "backbone.run=a", "epochs=1"], name="probe")
    from kit.model.checkpoints import load

    folds = Folds.read(space / "runs/a/folds.csv")
    for fold in range(2):
        embeddings = Embeddings.read(space / f"runs/a/embeddings/plain/{fold}").train
        mean = embeddings.vectors[~folds.oof_mask(fold)].astype(np.float64).mean(0)
        weights = load(space / f"runs/probe/fold-{fold}/0001").prediction_weights
        np.testing.assert_allclose(weights["mean"].numpy(), mean, atol=1e-5)
    with pytest.raises(DataError, match="D61") as caught:
        train(space, ["backbone=embeddings", "backbone.run=a", "split_seed=5", "epochs=1"], name="leak")
    assert "other folds" in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "code", "says"),
    [
        (("backbone.run=[]",), "C83", "needs the name of an embedded run"),
        (("backbone.run=gone",), "C15", "gone"),
        (("backbone.run=bare@hflip",), "D48", "no embeddings of views 'hflip'"),
        (("loss=mixup",), "C83", "mixes images"),
        (("compile=true", "layer_decay=0.5"), "C83", "compile, layer_decay"),
        (("init_from=runs/bare",), "C83", "init_from"),
        (("gradient_checkpointing=true",), "C83", "gradient_checkpointing"),
    ],
)
def test_what_does_not_apply_to_vectors_is_refused(
    embedded_once: Path, overrides: Sequence[str], code: str, says: str
) -> None:
    with pytest.raises((ConfigError, InvalidError), match=code) as caught:
        train(embedded_once, [*PROBE, *overrides], name="refused")
    assert says in str(caught.value)
    assert not (embedded_once / "runs/refused/manifest.json").exists()


def test_embeddings_of_other_rows_are_refused(embedded: Path) -> None:
    table = embedded / "data/train.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(InvalidError, match="D48") as caught:
        train(embedded, PROBE, name="other")
    assert "other training rows" in str(caught.value)


def test_commands_that_read_images_refuse_a_run_on_embeddings(embedded: Path) -> None:
    probe(embedded, "epochs=1")
    for work in (lambda: tta(embedded, ["runs/probe"], "hflip"), lambda: embed(embedded, ["runs/probe"])):
        with pytest.raises(ConfigError, match="C83") as caught:
            work()
        assert "kit blend uses its predictions" in str(caught.value)
    with pytest.raises(ConfigError, match="C83"):
        embed_untrained(Workspace.open(embedded, ["backbone=embeddings"]), "again")


def test_a_test_row_without_an_image_gets_the_class_prior(tmp_path: Path) -> None:
    root = draw_competition(tmp_path / "space")
    (root / "data/images/065.png").write_bytes(b"")
    with pytest.warns(KitWarning, match="class prior"):
        embed_untrained(Workspace.open(root, ["data.on_unreadable_test=class_prior"]), "bare")
    train(root, PROBE, name="probe")
    predictions = Predictions.read(root / "runs/probe/predictions/plain/test.parquet")
    np.testing.assert_allclose(predictions.probabilities[predictions.ids == "065"], 1 / 3, atol=1e-6)
