"""tta: like with like, by folds; what is there is kept; no test row is lost."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from kit.config.workspace import Workspace
from kit.core.progress import ResultOf
from kit.data.predictions import Predictions
from kit.errors import CheckpointError, ConfigError, DataError, KitWarning
from kit.experiment.prediction_file import restore
from kit.kinds import Views
from kit.model import checkpoints
from kit.runs.run import Run
from kit.stages.prediction.tta import tta, views_name
from kit.stages.training.train import train


def read(root: Path, views: str, split: str, run: str = "a") -> Predictions:
    return Predictions.read(root / "runs" / run / "predictions" / views / f"{split}.parquet")


def test_plain_out_of_fold_predictions_are_those_of_training(space: Path) -> None:
    before = read(space, "plain", "oof")
    (space / "runs/a/predictions/plain/oof.parquet").unlink()
    tta(space, ["runs/a"], "plain")
    after = read(space, "plain", "oof")
    np.testing.assert_array_equal(after.align(before.ids.tolist()), before.align(before.ids.tolist()))


def test_held_out_rows_come_from_the_checkpoint_that_never_saw_them(space: Path) -> None:
    for file in (space / "runs/a/fold-1").glob("*/*.safetensors"):
        file.unlink()
    for folder in (space / "runs/a/fold-1").glob("00*"):
        manifest = folder / "manifest.json"
        manifest.unlink()
    tta(space, ["runs/a/fold-0"], "hflip")
    assert set(read(space, "hflip", "oof").folds.tolist()) == {0}
    with pytest.raises(CheckpointError, match="D51"):
        tta(space, ["runs/a/fold-1"], "hflip")


def test_every_test_row_is_predicted_by_every_fold(space: Path) -> None:
    (result,) = tta(space, ["runs/a"], "d4")
    predictions = read(space, "d4", "test")
    assert result.views == 8
    assert sorted(zip(predictions.ids.tolist(), predictions.folds.tolist(), strict=True)) == [
        (f"{n:03d}", fold) for n in range(60, 72) for fold in (0, 1)
    ]
    assert predictions.mean().ids.tolist() == [f"{n:03d}" for n in range(60, 72)]


def test_views_are_averaged_over_each_folds_own_network(space: Path) -> None:
    tta(space, ["runs/a"], "hflip")
    from kit.images.reader import center_crop, read_image

    workspace = Workspace.open(space)
    model = restore(checkpoints.load(space / "runs/a/fold-1/0002"), space, torch.device("cpu"))
    image = read_image(space / "data/images/065.png", workspace.competition.data)
    from kit.images.cache import Geometry

    pixels = torch.from_numpy(center_crop(Geometry(20, "short_side").apply(image), 16, 1.0).copy())
    shown = torch.stack([pixels, pixels.flip(1)]).permute(0, 3, 1, 2)
    predictions = read(space, "hflip", "test")
    saved = predictions.probabilities[(predictions.ids == "065") & (predictions.folds == 1)][0]
    np.testing.assert_allclose(saved, model.probabilities(shown).mean(0).numpy(), atol=1e-5)


def test_what_is_there_is_not_computed_again(space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tta(space, ["runs/a"], "flip")[0].computed
    before = read(space, "flip", "test").probabilities
    monkeypatch.setattr(sys.modules["kit.stages.prediction.tta"], "predict_shared", None)
    (again,) = tta(space, ["runs/a"], "flip")
    assert not again.computed
    assert np.array_equal(read(space, "flip", "test").probabilities, before)


def test_a_fold_at_a_time_makes_the_same_as_all_at_once(space: Path) -> None:
    tta(space, ["runs/a"], "hflip")
    whole = {split: read(space, "hflip", split) for split in ("oof", "test")}
    for split in whole:
        (space / f"runs/a/predictions/hflip/{split}.parquet").unlink()
    tta(space, ["runs/a/fold-1"], "hflip")
    assert set(read(space, "hflip", "test").folds.tolist()) == {1}
    tta(space, ["runs/a"], "hflip")
    for split, before in whole.items():
        after = read(space, "hflip", split)
        assert after.ids.tolist() == before.ids.tolist()
        np.testing.assert_allclose(after.probabilities, before.probabilities, atol=1e-6)


def test_an_earlier_checkpoint_has_a_folder_of_its_own(space: Path) -> None:
    (result,) = tta(space, [space / "runs/a/fold-0/0001"], "plain")
    assert result.member == "runs/a@plain-0001"
    assert not np.allclose(
        read(space, "plain-0001", "oof").probabilities,
        read(space, "plain", "oof").take(np.arange(30)).probabilities,
    )


def test_options_and_merging_are_part_of_the_folders_name() -> None:
    assert views_name(Views.open("d4"), "mean") == "d4"
    assert views_name(Views.open("d4"), "geometric") == "d4-geometric"
    name = views_name(Views.open({"name": "shift", "pixels": 3}), "mean")
    assert name.startswith("shift-")
    assert name != views_name(Views.open({"name": "shift", "pixels": 4}), "mean")
    assert views_name(Views.open({"name": "shift", "pixels": 1}), "mean") == "shift"


@pytest.mark.parametrize("path", ["runs/none", "data", "runs"])
def test_a_path_without_checkpoints_is_an_error(space: Path, path: str) -> None:
    with pytest.raises(ConfigError, match="C15 .* is not a run, fold or checkpoint"):
        tta(space, [path], "plain")


def test_a_bad_test_image_stops_and_with_prior_loses_no_row(space: Path) -> None:
    (space / "data/images/063.png").write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=r"D06 1 of 12 test images are unusable"):
        tta(space, ["runs/a"], "plain")
    config = Workspace.open(space, ["data.on_unreadable_test=class_prior"])
    with pytest.warns(KitWarning, match="predicted as the class prior"):
        tta(config, ["runs/a"], "plain")
    predictions = read(space, "plain", "test").mean()
    assert len(predictions) == 12
    np.testing.assert_allclose(
        predictions.align(["063"], allow_extra=True)[0], [1 / 3, 1 / 3, 1 / 3], atol=1e-6
    )


def test_other_rows_than_the_run_was_trained_on_are_refused(space: Path) -> None:
    file = space / "data" / "train.csv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-3]))
    with pytest.raises(DataError, match="D60 the training table has 57 rows"):
        tta(space, ["runs/a"], "d4")


def test_other_classes_than_the_checkpoints_are_refused(space: Path) -> None:
    file = space / "data" / "train.csv"
    file.write_text(file.read_text().replace("ring", "rong"))
    with pytest.raises(CheckpointError, match="D53 .* was trained for 3 classes"):
        tta(space, ["runs/a"], "d4")


def test_progress_is_one_bar_for_the_whole_command(space: Path) -> None:
    train(space, ["seed=1", "epochs=1"], name="b")
    work = ResultOf(tta.with_progress(Workspace.open(space), ["runs/a", "runs/b"], "hflip"))
    done = [step.done / step.total for step in work if step.task == "tta"]
    assert done == sorted(done)
    assert 0 < done[0] < 0.2
    assert done[-1] == pytest.approx(1)


def test_a_line_a_split_says_what_was_predicted(space: Path) -> None:
    work = ResultOf(tta.with_progress(Workspace.open(space), ["runs/a"], "hflip"))
    lines = [step.detail for step in work if step.line and step.task != "device"]
    held_out = [f"a@hflip oof fold {fold}: 30 rows, 2 views" for fold in (0, 1)]
    assert lines == [*held_out, "a@hflip test: 12 rows, 2 views"]


def test_each_fold_says_of_the_rows_it_trained_on_what_it_says_of_copies_among_the_test_rows(
    space: Path,
) -> None:
    """A test row is predicted by every fold, so copies of all training images are a second way to the same numbers."""
    folds = Run(space / "runs" / "a").folds()
    images, ids = space / "data" / "images", folds.ids.tolist()
    for name in ids:
        shutil.copy(images / f"{name}.png", images / f"copy-{name}.png")
    sample = space / "data" / "sample_submission.csv"
    sample.write_text("\n".join(["id,label", *(f"copy-{name},blob" for name in ids)]) + "\n")
    tta(space, ["runs/a"], "hflip", rows="both")
    folder = space / "runs" / "a" / "predictions" / "hflip"
    train_rows, test = (Predictions.read(folder / f"{split}.parquet") for split in ("train", "test"))
    for fold in (0, 1):
        own, copies = train_rows.take(train_rows.folds == fold), test.take(test.folds == fold)
        assert set(own.ids.tolist()) == set(folds.ids[~folds.oof_mask(fold)].tolist())
        expected = copies.align([f"copy-{name}" for name in own.ids.tolist()], allow_extra=True)
        np.testing.assert_allclose(own.probabilities, expected, atol=1e-6)


def test_training_rows_are_predicted_without_the_test_rows(space: Path) -> None:
    tta(space, ["runs/a"], "hflip", rows="train")
    files = (space / "runs" / "a" / "predictions" / "hflip").glob("*.parquet")
    assert sorted(file.stem for file in files) == ["oof", "train"]


def test_an_executor_says_the_same_of_the_rows_that_each_fold_trained_on(space: Path) -> None:
    tta(space, ["runs/a"], "plain", rows="both")
    here = read(space, "plain", "train")
    (space / "runs/a/predictions/plain/train.parquet").unlink()
    tta(Workspace.find(space, ["executor=in_process"]), ["runs/a"], "plain", rows="both")
    there = read(space, "plain", "train")
    assert there.ids.tolist() == here.ids.tolist()
    assert np.array_equal(there.folds, here.folds)
    assert there.probabilities.tobytes() == here.probabilities.tobytes()
