"""kit pseudo-labels: what a fold's student is reported depends on its own teachers alone, by a rule scored by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.commands._menu import run as command
from kit.config.workspace import Workspace
from kit.data.folds import Folds
from kit.data.predictions import PolicyRecord, Predictions, RetrievalRecord
from kit.data.pseudo_labels import PseudoLabels
from kit.errors import DataError, InvalidError, KitWarning
from kit.runs.run import Run
from kit.stages.pseudo_labelling.pseudo import PseudoRequest, PseudoResult, pseudo
from kit.stages.pseudo_labelling.rule import Rule
from tests.planted_predictions import TEST, Plan, another_fold, file_of, plant, read, sure

ALL = PseudoRequest(Rule(0.0))
POLICY = {"policy": PolicyRecord("hflip", ("plain", "hflip-1"), {"name": "greedy"}, ("a@plain", "a@hflip-1"))}
RETRIEVAL = {"retrieval": RetrievalRecord("plain", {"name": "vote"}, ())}


def labels(space: Path, result: PseudoResult) -> PseudoLabels:
    return PseudoLabels.read(Workspace.open(space), result.path)


def of_fold(space: Path, result: PseudoResult, fold: int, split: str = "test") -> tuple[list[str], bytes]:
    """What a fold's student is reported, to the bit."""
    predictions = Predictions.read(space / result.path / f"{split}.parquet")
    own = predictions.take(predictions.folds == fold)
    return own.ids.tolist(), own.probabilities.tobytes()


# ------------------------------------------------------------------------------------------- honesty


@pytest.mark.parametrize("split", ["test", "oof"])
def test_a_fold_is_reported_the_same_whatever_another_folds_networks_say(school: Path, split: str) -> None:
    request = PseudoRequest(Rule(0.7))
    before = pseudo(school, ["runs/a", "runs/b"], "before", request)
    for run in ("a", "b"):
        plant(school, split, another_fold(1), run)
    after = pseudo(school, ["runs/a", "runs/b"], "after", request)
    assert of_fold(school, before, 0) == of_fold(school, after, 0)
    assert (of_fold(school, before, 1) != of_fold(school, after, 1)) == (split == "test")


def test_a_folds_word_on_training_rows_is_its_own_networks(school: Path) -> None:
    request = PseudoRequest(rows=("train",))
    before = pseudo(school, ["runs/a"], "before", request)
    plant(school, "train", another_fold(1))
    after = pseudo(school, ["runs/a"], "after", request)
    assert of_fold(school, before, 0, "train") == of_fold(school, after, 0, "train")
    assert of_fold(school, before, 1, "train") != of_fold(school, after, 1, "train")
    folds = Run(school / "runs" / "a").folds()
    for fold in (0, 1):  # no row that the fold holds out is in what its student is told
        held_out = set(folds.ids[folds.oof_mask(fold)].tolist())
        assert set(of_fold(school, before, fold, "train")[0]) == set(folds.ids.tolist()) - held_out
    assert len(labels(school, before).test) == 0


def test_weights_of_teachers_are_fitted_without_the_rows_that_the_student_holds_out(school: Path) -> None:
    """Teacher a knows fold 0's rows and errs on fold 1's, b the other way round: so fold 0's student hears b alone."""

    def knows(fold: int) -> Plan:
        return lambda predictions: np.array(
            [
                0.02 + 0.94 * np.eye(3)[(int(name) + (held_out_by != fold)) % 3]
                for name, held_out_by in zip(
                    predictions.ids.tolist(), predictions.folds.tolist(), strict=True
                )
            ]
        )

    plant(school, "oof", knows(0), "a")
    plant(school, "oof", knows(1), "b")
    result = pseudo(school, ["runs/a", "runs/b"], "fitted", PseudoRequest(Rule(0.0), ensembler="simplex"))
    for fold, name in ((0, "b"), (1, "a")):
        alone = read(school, "test", name)
        pseudo_labels = labels(school, result).of(fold)
        assert pseudo_labels.ids.tolist() == TEST
        np.testing.assert_allclose(
            pseudo_labels.probabilities, alone.probabilities[alone.folds == fold], atol=1e-3
        )
    assert (
        result.held_out.right == 0
    )  # the honest estimate: what weights make of rows that they were not fitted on


def test_a_copy_of_a_held_out_row_is_no_lesson_however_sure_the_teachers_are(school: Path) -> None:
    """Fold 1's network trained on the copied row, and would say its label to the student that is scored on it."""
    folds = Run(school / "runs" / "a").folds()
    row = folds.ids[folds.oof_mask(0)][0]
    images = school / "data" / "images"
    shutil.copy(images / "065.png", images / f"{row}.png")
    plant(school, "test", sure({name: int(name) % 3 for name in TEST}, 0.99))
    result = pseudo(school, ["runs/a"])
    assert "065" not in of_fold(school, result, 0)[0]
    assert "065" in of_fold(school, result, 1)[0]
    assert (result.related[0], result.related[1]) == (1, 0)


@pytest.mark.parametrize("record", [POLICY, RETRIEVAL], ids=["policy", "retrieval"])
def test_teachers_that_were_fitted_on_all_folds_are_refused(school: Path, record: dict[str, Any]) -> None:
    plant(school, "test", lambda predictions: predictions.probabilities, **record)
    with pytest.raises(DataError, match="D61 1 teachers were fitted on rows that the student holds out"):
        pseudo(school, ["runs/a", "runs/b"])


def test_teachers_of_other_folds_than_one_another_are_refused(school: Path) -> None:
    folds = Run(school / "runs" / "b").folds()
    other = Folds(folds.ids, 1 - folds.numbers)
    other.write(school / "runs" / "b" / "folds.csv")
    predictions = read(school, "oof", "b")
    about = replace(predictions.provenance, folds=other.fingerprint())
    Predictions(
        predictions.ids, 1 - predictions.folds, predictions.classes, predictions.probabilities, about
    ).write(file_of(school, "oof", "b"))
    with pytest.raises(DataError, match="D61 a@plain and b@plain were trained with different folds"):
        pseudo(school, ["runs/a", "runs/b"])


# --------------------------------------------------------------------------------------- what is taken


def test_what_is_taken_and_how_often_it_is_right_by_hand(school: Path) -> None:
    """Two test rows are sure; of the rows held out 000 and 001 are called 0, and 002 is called 2."""
    plant(school, "test", sure({"060": 0, "064": 1}))
    plant(school, "oof", sure({"000": 0, "001": 0, "002": 2}))
    result = pseudo(school, ["runs/a"])
    assert result.folds == {0: 2, 1: 2}
    assert labels(school, result).of(0).ids.tolist() == ["060", "064"]
    assert labels(school, result).of(0).probabilities.argmax(1).tolist() == [0, 1]
    assert result.confidence == pytest.approx(0.96)
    held = result.held_out  # rows are of classes 0, 1, 2, 0, 1, 2, ...
    assert (held.rows, held.taken, held.right) == (60, 3, 2)
    assert held.by_class == ((2, 1), (0, 0), (1, 1))
    assert [(one.rows, one.share, one.accuracy) for one in result.classes] == [
        (1, 0.5, 0.5),
        (1, 0.5, None),
        (0, 0, 1),
    ]
    assert [one.prior for one in result.classes] == pytest.approx([1 / 3] * 3)
    assert (result.round, result.test_rows, result.training_rows, result.is_new) == (1, 12, 0, True)


def test_several_teachers_are_the_mean_of_each_fold_and_may_have_to_agree(school: Path) -> None:
    result = pseudo(school, ["runs/a", "runs/b"], "mean", ALL)
    for fold in (0, 1):
        parts = [
            one.probabilities[one.folds == fold]
            for one in (read(school, "test", "a"), read(school, "test", "b"))
        ]
        np.testing.assert_allclose(labels(school, result).of(fold).probabilities, sum(parts) / 2, atol=1e-6)
    plant(school, "test", sure({"060": 0, "061": 1, "062": 2}), "a")
    plant(school, "test", sure({"060": 0, "061": 2, "062": 2}), "b")
    agreed = pseudo(school, ["runs/a", "runs/b"], "agreed", PseudoRequest(Rule(0.0, unanimous=True)))
    assert "061" not in labels(school, agreed).of(1).ids.tolist()
    assert "062" in labels(school, agreed).of(1).ids.tolist()


def test_where_no_row_is_sure_enough_it_says_how_sure_the_surest_is(school: Path) -> None:
    plant(school, "test", sure({"060": 0}, 0.8))
    with pytest.raises(
        InvalidError, match=r"D49 no test row is selected for fold 0: the most confident of 12 has 0\.800"
    ):
        pseudo(school, ["runs/a"])
    assert not (school / "pseudo_labels").exists()


def test_classes_that_are_taken_more_or_less_than_they_are_trained_on_are_named(school: Path) -> None:
    plant(school, "test", sure(dict.fromkeys(TEST, 1)))
    text = r"W22 1 classes .*\n  cross: 100.0% of the selected rows, 33.3% of the training rows"
    with pytest.warns(KitWarning, match=text):
        pseudo(school, ["runs/a"])


def test_the_same_command_again_says_that_they_are_there_and_another_is_refused(
    school: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    inside(school)
    arguments = ["pseudo-labels", "runs/a", "--threshold", "0.7"]
    assert command(arguments) == 0
    said = capsys.readouterr()
    assert said.out == "pseudo_labels/round-1\n"
    assert "next: kit train --name student pseudo_labels=pseudo_labels/round-1" in said.err
    assert command(arguments) == 0
    assert "(reused)" in capsys.readouterr().err
    assert command(["pseudo-labels", "runs/a", "--threshold", "0"]) == 2
    assert "C11 pseudo_labels/round-1 has different pseudo-labels" in capsys.readouterr().err
    assert (
        command(
            [
                "pseudo-labels",
                "runs/a",
                "--top-fraction",
                "0.5",
                "--class-balanced",
                "--soft",
                "--name",
                "x",
                "--json",
            ]
        )
        == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert (report["path"], report["labels"], sum(report["folds"].values())) == (
        "pseudo_labels/x",
        "soft",
        12,
    )
    assert set(report["held_out"]) == {"rows", "taken", "right", "by_class"}
    assert len(report["interval"]) == 2


@pytest.mark.parametrize("name", ["a/b", ".hidden", ".."])
def test_a_name_that_is_no_folders_is_refused(
    school: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    inside(school)
    assert command(["pseudo-labels", "runs/a", "--threshold", "0", "--name", name]) == 2
    assert "C13" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------- bad input


def test_a_training_table_of_other_rows_than_the_teachers_is_refused(school: Path) -> None:
    file = school / "data" / "train.csv"
    file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")
    for run in ("a", "b"):
        predictions = read(school, "oof", run)
        predictions.take(predictions.ids != "059").write(file_of(school, "oof", run))
    with pytest.raises(DataError, match="D60 the training table has 59 rows, but a was trained on 60"):
        pseudo(school, ["runs/a", "runs/b"], request=ALL)


def test_a_teacher_that_lacks_a_fold_leaves_that_student_untaught(school: Path) -> None:
    for split in ("oof", "test"):
        predictions = read(school, split)
        predictions.take(predictions.folds == 1).write(file_of(school, split))
    with pytest.warns(
        KitWarning, match="W23 not all teachers have fold 0: no student can be trained on this fold"
    ):
        result = pseudo(school, ["runs/a", "runs/b"], request=ALL)
    assert set(result.folds) == {1}


def test_a_damaged_teacher_is_named(
    school: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    inside(school)
    file = file_of(school, "test")
    file.write_bytes(file.read_bytes()[:-100])
    assert command(["pseudo-labels", "runs/a"]) == 4
    assert "D40" in capsys.readouterr().err


def test_test_images_that_changed_since_the_teachers_saw_them_are_refused(school: Path) -> None:
    images = school / "data" / "images"
    shutil.copy(images / "061.png", images / "060.png")
    with pytest.raises(DataError, match="D65 a@plain predicted other test images than those of the table"):
        pseudo(school, ["runs/a"], request=ALL)


def test_test_rows_that_changed_since_the_teachers_saw_them_are_refused(school: Path) -> None:
    sample = school / "data" / "sample_submission.csv"
    sample.write_text("\n".join(sample.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(DataError, match="D65"):
        pseudo(school, ["runs/a"], request=ALL)


def test_what_networks_say_of_their_training_rows_must_be_there_and_of_the_same_networks(
    school: Path,
) -> None:
    request = PseudoRequest(rows=("train",))
    plant(
        school,
        "train",
        lambda predictions: predictions.probabilities,
        checkpoints={"0": "0001:x", "1": "0001:y"},
    )
    with pytest.raises(InvalidError, match=r"D43 .*train\.parquet was predicted by other checkpoints"):
        pseudo(school, ["runs/a"], request=request)
    file_of(school, "train").unlink()
    with pytest.raises(
        InvalidError, match=r"D41 a@plain has no predictions of its training rows(.|\n)*--rows both"
    ):
        pseudo(school, ["runs/a"], request=request)
