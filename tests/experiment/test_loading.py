"""A student's training rows: those of its fold and what its own teachers tell, as each loss takes them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from kit.commands._menu import run as command
from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.data.predictions import Predictions
from kit.engine.batches import TrainBatches
from kit.errors import ConfigError, DataError, InvalidError
from kit.experiment.fold_training import train_stages
from kit.experiment.run_context import RunContext, prepare_run
from kit.kinds import Loss
from kit.model import checkpoints
from kit.runs.run import Run
from kit.stages.prediction.tta import tta
from kit.stages.pseudo_labelling.pseudo import PseudoRequest, pseudo
from kit.stages.pseudo_labelling.rule import Rule
from kit.stages.training.train import train
from tests.planted_predictions import TEST, another_fold, plant, read, sure

LESSON = {"060": 0, "064": 1, "065": 2}


def setting_of(space: Path, *overrides: str, name: str = "student") -> RunContext:
    return finish(prepare_run(Workspace.find(space, overrides), Run(space / "runs" / name)))


def taught(space: Path, name: str = "first", **options: object) -> Path:
    """Pseudo-labels of three test rows, by teachers that are sure of nothing else."""
    plant(space, "test", sure(LESSON))
    pseudo(space, ["runs/a"], name, PseudoRequest(**options))  # type: ignore[arg-type]
    return space


# ------------------------------------------------------------------------------------------- material


def test_test_rows_follow_the_training_rows_with_their_images_and_labels(school: Path) -> None:
    setting, plain = setting_of(taught(school), "pseudo_labels=pseudo_labels/first"), setting_of(school)
    data, own = setting.training_data(0, Loss.open("focal")), plain.training_data(0, Loss.open("focal"))
    added = data.rows[len(own.rows) :]
    assert data.rows[: len(own.rows)].tolist() == own.rows.tolist()
    assert setting.ids[added].tolist() == list(LESSON)
    assert data.labels[added].tolist() == list(LESSON.values())
    assert data.targets is None
    (batches,) = [stage.batches for stage in train_stages(setting, 0)]
    assert isinstance(batches, TrainBatches)
    assert set(batches.order(0).tolist()) == set(data.rows.tolist())
    for row, name in zip(added.tolist(), LESSON, strict=True):
        assert data.cache.paths[row].stem == name
        assert np.array_equal(data.cache[row], setting.pseudo_rows.loaded.cache[TEST.index(name)])  # type: ignore[union-attr]
    assert (setting.pseudo_row_count(0), plain.pseudo_row_count(0)) == (3, 0)
    held_out = setting.ids[setting.oof_rows(0)]
    assert not set(held_out.tolist()) & set(LESSON)


def test_a_loss_of_soft_rows_is_given_probabilities_and_ones(school: Path) -> None:
    setting = setting_of(taught(school, labels="soft"), "pseudo_labels=pseudo_labels/first")
    data = setting.training_data(1, Loss.open("cross_entropy"))
    assert data.targets is not None
    own = data.rows[:-3]
    assert data.targets[own].argmax(1).tolist() == data.labels[own].tolist()
    assert set(data.targets[own].ravel().tolist()) == {0.0, 1.0}
    np.testing.assert_allclose(
        data.targets[data.rows[-3:]], [[0.96, 0.02, 0.02], [0.02, 0.96, 0.02], [0.02, 0.02, 0.96]]
    )


def test_distillation_is_given_the_label_and_the_word_of_the_folds_own_teachers(school: Path) -> None:
    plant(
        school, "train", lambda predictions: np.eye(3)[predictions.folds]
    )  # fold 0 says class 0 of all, fold 1 class 1
    setting = setting_of(
        taught(school, rows=("test", "train")), "pseudo_labels=pseudo_labels/first", "loss=distillation"
    )
    for fold in (0, 1):
        data = setting.training_data(fold, Loss.open("distillation"))
        assert data.targets is not None
        own = data.rows[:-3]
        assert data.targets[data.rows, 0].tolist() == data.labels[data.rows].tolist()
        assert data.targets[own, 1:].tolist() == np.eye(3)[[fold] * len(own)].tolist()
        assert data.targets[data.rows[-3:], 1:].argmax(1).tolist() == [0, 1, 2]
        assert not data.targets[setting.oof_rows(fold), 1:].any()  # of these nobody says anything


def test_a_test_row_without_an_image_is_left_out(school: Path) -> None:
    (school / "data" / "images" / "064.png").write_bytes(b"")
    bad = ["data.on_unreadable_test=class_prior"]
    space = Workspace.find(school, bad)
    with pytest.warns(UserWarning, match="predicted as the class prior"):
        tta(space, ["runs/a"])
    plant(school, "test", sure(LESSON))
    with pytest.warns(UserWarning, match="predicted as the class prior"):
        pseudo_labels = pseudo(space, ["runs/a"], "first")
    assert pseudo_labels.folds == {0: 2, 1: 2}
    with pytest.warns(UserWarning, match="predicted as the class prior"):
        setting = setting_of(school, "pseudo_labels=pseudo_labels/first", *bad)
    assert setting.ids[setting.training_data(0, Loss.open("focal")).rows[-2:]].tolist() == ["060", "065"]


# ------------------------------------------------------------------------------------------- honesty


def test_a_students_weights_are_the_same_whatever_another_folds_teachers_say(school: Path) -> None:
    """Fold 1's networks trained on what fold 0 holds out: nothing of them may reach fold 0's student."""
    keys = ["loss=distillation", "epochs=1"]
    request = PseudoRequest(Rule(0.6), rows=("test", "train"))
    weights, scored = [], []
    for name in ("before", "after"):
        pseudo(school, ["runs/a"], name, request)
        train(school, [*keys, f"pseudo_labels=pseudo_labels/{name}"], name=name)
        latest = [checkpoints.latest(school / "runs" / name / f"fold-{fold}") for fold in (0, 1)]
        weights.append([one.prediction_weights for one in latest if one is not None])
        scored.append(Predictions.read(school / "runs" / name / "fold-0" / "oof.parquet").probabilities)
        for split in ("test", "oof", "train"):
            plant(school, split, another_fold(1))
    same = [
        all(torch.equal(one[key], other[key]) for key in one) for one, other in zip(*weights, strict=True)
    ]
    assert same == [True, False]
    first, second = scored
    assert np.array_equal(first, second)


# --------------------------------------------------------------------------------------- as a run does


def test_a_student_trains_resumes_and_labels_the_next_round(
    school: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(taught(school))
    arguments = ["train", "--name", "student", "pseudo_labels=pseudo_labels/first", "epochs=1"]
    assert command([*arguments, "--dry-run"]) == 0
    assert "0: 33 train, 30 held out; 1: 33 train, 30 held out" in capsys.readouterr().out
    assert command(arguments) == 0
    assert command(arguments) == 0
    assert "runs/student is finished" in capsys.readouterr().err
    assert command(["train", "--name", "student", "epochs=1"]) == 2  # without them it is another experiment
    assert Run(school / "runs" / "student").manifest["provenance"]["pseudo"]["round"] == 1
    tta(school, ["runs/student"])
    plant(school, "test", sure(LESSON), "student")
    capsys.readouterr()
    assert command(["pseudo-labels", "runs/student"]) == 0
    said = capsys.readouterr()
    assert said.out == "pseudo_labels/round-2\n"
    assert "teachers trained on test rows" in said.err


def test_a_run_does_not_go_on_with_other_labels(school: Path) -> None:
    overrides = ["pseudo_labels=pseudo_labels/first", "epochs=1"]
    train(taught(school), overrides, name="student", folds=[0])
    plant(school, "test", sure({"061": 1}))
    shutil.rmtree(school / "pseudo_labels")
    pseudo(school, ["runs/a"], "first")
    with pytest.raises(DataError, match=r"D60(.|\n)*pseudo labels"):
        train(school, overrides, name="student")


def test_a_fold_whose_teachers_were_not_trained_is_refused_and_the_other_trained(school: Path) -> None:
    plant(school, "test", sure(LESSON))
    for split in ("oof", "test"):
        predictions = read(school, split)
        predictions.take(predictions.folds == 1).write(
            school / "runs" / "a" / "predictions" / "plain" / f"{split}.parquet"
        )
    with pytest.warns(UserWarning, match="W23"):
        pseudo(school, ["runs/a"], "half")
    overrides = ["pseudo_labels=pseudo_labels/half", "epochs=1"]
    with pytest.raises(
        ConfigError, match=r"C36 pseudo_labels 'half' has no labels for fold 0(.|\n)*--folds 1"
    ):
        train(school, overrides, name="student")
    assert not list((school / "runs" / "student").glob("fold-*/*/manifest.json"))
    train(school, overrides, name="student", folds=[1])


@pytest.mark.parametrize(
    ("overrides", "error", "text"),
    [
        (
            ["pseudo_labels=pseudo_labels/none"],
            ConfigError,
            "C36 pseudo_labels 'pseudo_labels/none' has no pseudo-labels",
        ),
        (
            ["pseudo_labels=runs/a/predictions/plain"],
            ConfigError,
            "C36 .* has predictions, but no pseudo-labels",
        ),
        (
            ["pseudo_labels=pseudo_labels/first", "split_seed=1"],
            DataError,
            "D61 the teachers of pseudo_labels 'first'",
        ),
        (
            ["pseudo_labels=pseudo_labels/soft", "loss=arcface"],
            ConfigError,
            "C17 pseudo_labels 'soft' has soft labels, .* 'arcface'",
        ),
        (
            ["pseudo_labels=pseudo_labels/both"],
            ConfigError,
            "C17 pseudo_labels 'both' also labels training rows",
        ),
    ],
)
def test_labels_that_do_not_fit_are_refused_before_anything_is_trained(
    school: Path, overrides: list[str], error: type[Exception], text: str
) -> None:
    taught(school)
    taught(school, "soft", labels="soft")
    taught(school, "both", rows=("test", "train"))
    with pytest.raises(error, match=text):
        setting_of(school, *overrides)


@pytest.mark.filterwarnings("ignore:W42")  # the sample keeps the old name of the class
def test_labels_of_other_test_images_or_classes_are_refused(school: Path) -> None:
    taught(school)
    file = school / "data" / "train.csv"
    text = file.read_text()
    file.write_text(text.replace("blob", "dot"))
    with pytest.raises(
        InvalidError, match="D42 pseudo_labels 'first' has 3 classes, and the table has 3 different ones"
    ):
        setting_of(school, "pseudo_labels=pseudo_labels/first")
    file.write_text(text)
    images = school / "data" / "images"
    shutil.copy(images / "061.png", images / "070.png")
    with pytest.raises(DataError, match="D65 pseudo_labels 'first' labels other test rows"):
        setting_of(school, "pseudo_labels=pseudo_labels/first")


def test_a_damaged_file_of_labels_is_named(school: Path) -> None:
    file = taught(school) / "pseudo_labels" / "first" / "test.parquet"
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(InvalidError, match="D40"):
        setting_of(school, "pseudo_labels=pseudo_labels/first")
    taught(school, "both", rows=("test", "train"))
    (school / "pseudo_labels" / "both" / "train.parquet").unlink()
    with pytest.raises(InvalidError, match=r"D40 .*train\.parquet is missing"):
        setting_of(school, "pseudo_labels=pseudo_labels/both", "loss=distillation")
