"""tta: what is kept of earlier predictions, and what has to be made again."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.engine.batches import PlainBatches
from kit.errors import KitWarning
from kit.experiment.loading import Loaded
from kit.stages.prediction.tta import TtaResult, tta
from kit.stages.training.train import train
from tests.drawing import draw_competition

VIEWS = '''"""Two views."""

from kit.kinds import Views


class Mine(Views):
    """The image and its mirror image.

    Source: this test.
    """

    def views(self):
        import ttach

        return [ttach.HorizontalFlip()]
'''
TWICE = '''"""Two repeats of two folds; the first rows are never held out."""

import numpy as np

from kit.kinds import Splitter


class Twice(Splitter):
    """Folds 0 and 1 over the rows, folds 2 and 3 again; six rows only train.

    Source: this test.
    """

    def split(self, table, rng):
        columns = [rng.permutation(np.arange(len(table)) % 2) + shift for shift in (0, 2)]
        numbers = np.stack(columns, axis=1)
        numbers[:6] = -1
        return numbers
'''


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = draw_competition(tmp_path_factory.mktemp("kept") / "space", epochs=1)
    train(root, name="a")
    return root


@pytest.fixture
def space(trained: Path, tmp_path: Path) -> Path:
    """A copy of a workspace with a trained run."""
    return Path(shutil.copytree(trained, tmp_path / "space"))


def predict(root: Path, *overrides: str, path: str = "runs/a", views: object = "plain") -> TtaResult:
    (result,) = tta(Workspace.open(root, overrides), [path], views)
    return result


def read(root: Path, split: str, views: str = "plain", run: str = "a") -> Predictions:
    return Predictions.read(root / "runs" / run / "predictions" / views / f"{split}.parquet")


def test_a_repaired_test_image_is_predicted_and_keeps_no_prior(space: Path) -> None:
    file = space / "data/images/063.png"
    content = file.read_bytes()
    predict(space)
    before = read(space, "test").mean().align(["063"], allow_extra=True)
    file.write_bytes(b"")
    with pytest.warns(KitWarning, match="predicted as the class prior"):
        assert predict(space, "data.on_unreadable_test=class_prior").computed
    np.testing.assert_allclose(read(space, "test").mean().align(["063"], allow_extra=True), 1 / 3, atol=1e-6)
    file.write_bytes(content)
    assert predict(space).computed
    np.testing.assert_allclose(read(space, "test").mean().align(["063"], allow_extra=True), before, atol=1e-6)


def test_another_image_of_a_held_out_row_is_predicted_again(space: Path) -> None:
    predict(space)
    before = read(space, "oof").align(["007"], allow_extra=True)
    shutil.copy(space / "data/images/060.png", space / "data/images/007.png")
    assert predict(space).computed
    assert not np.allclose(read(space, "oof").align(["007"], allow_extra=True), before)


def test_images_read_in_another_way_are_predicted_again(space: Path) -> None:
    predict(space)
    assert predict(space, "data.alpha_fill=black").computed
    assert not predict(space, "data.alpha_fill=black").computed


def test_views_whose_plugin_changed_are_predicted_again(space: Path) -> None:
    file = space / "plugins/views/mine.py"
    file.parent.mkdir(parents=True)
    file.write_text(VIEWS)
    assert predict(space, views="mine").computed
    assert not predict(space, views="mine").computed
    file.write_text(VIEWS + "\n# another one\n")
    assert predict(space, views="mine").computed


LOSS = '''"""Cross-entropy, of a team's own."""

from kit.kinds import Loss


class Own(Loss):
    """Cross-entropy.

    Source: this test.
    """

    def rows(self, outputs, labels):
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, labels, reduction="none")
'''


def test_a_loss_that_changed_since_training_is_said_and_predicts_again(tmp_path: Path) -> None:
    root = draw_competition(tmp_path / "space", epochs=1, loss="own", splitter="holdout")
    file = root / "plugins/loss/own.py"
    file.parent.mkdir(parents=True)
    file.write_text(LOSS)
    train(root, name="a")
    predict(root)
    file.write_text(LOSS + "\n# another one\n")
    with pytest.warns(KitWarning, match="W14 loss/own changed since a was trained"):
        assert predict(root).computed


def test_folds_predicted_one_after_the_other_are_together(space: Path) -> None:
    predict(space, path="runs/a/fold-0", views="hflip")
    result = predict(space, path="runs/a/fold-1", views="hflip")
    assert result.folds == (0, 1)
    assert set(read(space, "test", "hflip").folds.tolist()) == {0, 1}
    assert len(read(space, "oof", "hflip")) == 60
    assert set(read(space, "oof", "hflip").provenance.checkpoints) == {"0", "1"}
    assert not predict(space, views="hflip").computed


def test_a_fold_whose_checkpoint_is_gone_is_not_kept(space: Path) -> None:
    predict(space, views="hflip")
    shutil.rmtree(space / "runs/a/fold-0/0001")
    (space / "runs/a/predictions/hflip/test.parquet").write_bytes(b"damaged")
    assert predict(space, path="runs/a/fold-1", views="hflip").folds == (1,)
    assert set(read(space, "test", "hflip").folds.tolist()) == {1}
    assert set(read(space, "oof", "hflip").folds.tolist()) == {1}


def test_scores_are_of_the_metric_and_labels_that_are_asked_for(space: Path) -> None:
    predict(space)
    before = read(space, "oof")
    result = predict(space, "metric=auc")
    assert not result.computed
    assert "auc" in result.scores
    assert "auc" in read(space, "oof").provenance.require_scores()
    assert np.array_equal(read(space, "oof").probabilities, before.probabilities)


def test_the_workers_asked_for_load_the_images(space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kit.experiment.prediction_file import prediction_batches

    worker_counts = []

    def noted(loaded: Loaded, experiment: Experiment, *more: Any) -> PlainBatches:
        worker_counts.append(experiment.workers)
        return prediction_batches(loaded, experiment, *more)

    monkeypatch.setattr(sys.modules["kit.stages.prediction.tta"], "prediction_batches", noted)
    predict(space, "workers=1", views="hflip")
    assert set(worker_counts) == {1}


def test_without_any_usable_test_image_every_row_gets_the_prior(space: Path) -> None:
    for number in range(60, 72):
        (space / f"data/images/{number:03d}.png").write_bytes(b"")
    with pytest.warns(KitWarning, match="12 of 12 test images"):
        predict(space, "data.on_unreadable_test=class_prior")
    np.testing.assert_allclose(read(space, "test").mean().probabilities, np.full((12, 3), 1 / 3), atol=1e-6)


def test_rows_that_several_folds_hold_out_are_scored_by_their_mean(tmp_path: Path) -> None:
    root = draw_competition(tmp_path / "space", epochs=1, splitter="twice")
    (root / "plugins/splitter").mkdir(parents=True)
    (root / "plugins/splitter/twice.py").write_text(TWICE)
    train(root, name="a")
    predictions = read(root, "oof")
    assert len(predictions) == 2 * 54
    assert "000" not in predictions.ids
    assert set(predictions.provenance.require_fold_scores()) == {"0", "1", "2", "3"}
    mean = predictions.mean()
    truth = np.array([int(name) % 3 for name in mean.ids.tolist()])
    assert predictions.provenance.require_scores()["accuracy"] == pytest.approx(
        (mean.probabilities.argmax(1) == truth).mean()
    )
    result = predict(root)
    assert dict(result.plain) == pytest.approx(dict(result.scores))
    assert len(read(root, "test")) == 4 * 12
