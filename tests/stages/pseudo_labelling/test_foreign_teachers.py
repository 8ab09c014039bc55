"""Predictions of another framework as teachers: by fold they teach as a run does, and means over folds are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from kit.data.predictions import Predictions
from kit.errors import DataError, InvalidError, KitError
from kit.runs.run import Run
from kit.stages.pseudo_labelling.pseudo import PseudoRequest, PseudoResult, pseudo
from kit.stages.pseudo_labelling.rule import Rule
from kit.stages.sharing.foreign import import_predictions
from kit.stages.training.train import train
from tests.planted_predictions import read

RULE = Rule(0.8)


def write(space: Path, split: str) -> Path:
    """The predictions of run `a` as a table with a row per id and fold, as another framework writes it."""
    predictions = read(space, split)
    table = pd.DataFrame(
        dict(zip(predictions.classes, predictions.probabilities.T.astype(float), strict=True))
    )
    file = space / f"foreign-{split}.csv"
    table.assign(id=predictions.ids, fold=predictions.folds).to_csv(file, index=False)
    return file


def bring(space: Path, test: Path, oof: Path | None) -> str:
    return import_predictions(space, test, "lgbm", oof).member


@pytest.fixture
def foreign(school: Path) -> Path:
    """The workspace with run `a`, and its predictions imported as `lgbm`."""
    bring(school, write(school, "test"), write(school, "oof"))
    return school


def rows_by_hand(space: Path, fold: int) -> dict[str, np.ndarray]:
    """The rows of the table that the rule takes for a fold."""
    table = pd.read_csv(space / "foreign-test.csv", dtype={"id": str})
    own = table[table.fold == fold].set_index("id")[list(read(space, "test").classes)]
    return {str(name): row.to_numpy() for name, row in own.iterrows() if row.max() >= 0.8}


@pytest.mark.parametrize("form", ["hard", "soft"])
def test_the_student_of_a_fold_gets_the_rows_of_the_folds_models(foreign: Path, form: str) -> None:
    result: PseudoResult = pseudo(foreign, ["runs/lgbm"], "own", PseudoRequest(RULE, form))  # type: ignore[arg-type]
    predictions = Predictions.read(foreign / result.path / "test.parquet")
    for fold in (0, 1):
        wanted, own = rows_by_hand(foreign, fold), predictions.take(predictions.folds == fold)
        assert sorted(own.ids) == sorted(wanted)
        for name, row in zip(own.ids.tolist(), own.probabilities, strict=True):
            np.testing.assert_allclose(row, wanted[name], atol=1e-6)
    assert result.round == 1
    held = pd.read_csv(foreign / "foreign-oof.csv")
    shares = held[list(read(foreign, "test").classes)].to_numpy()
    assert result.held_out.taken == (shares.max(axis=1) >= 0.8).sum()


def test_a_student_distils_a_foreign_teacher(foreign: Path) -> None:
    result = pseudo(foreign, ["runs/lgbm", "runs/a"], "both", PseudoRequest(RULE, "soft"))
    overrides = [f"pseudo_labels={result.path}", "loss=distillation", "loss.temperature=2"]
    run = train(foreign, overrides, name="student")
    assert run.provenance["pseudo"]["round"] == 1
    labels = Predictions.read(foreign / result.path / "test.parquet").provenance.labelling
    assert labels is not None
    assert labels.teachers == ("lgbm@plain", "a@plain")


def test_the_distillation_of_soft_labels_is_hintons(foreign: Path) -> None:
    """Divergence from the imported probabilities at temperature T, times T squared, by numpy."""
    import torch

    from kit.plugins.loss.distillation import Distillation

    rng = np.random.default_rng(0)
    teacher = np.array(list(rows_by_hand(foreign, 0).values()))
    outputs, warmth = rng.normal(size=teacher.shape), 2.0
    targets = np.concatenate([teacher.argmax(axis=1)[:, None], teacher], axis=1).astype(np.float32)
    loss = Distillation(temperature=warmth, teacher_weight=1.0)
    got = loss.rows(torch.tensor(outputs, dtype=torch.float32), torch.from_numpy(targets))
    soft = softmax(np.log(np.maximum(teacher, 1e-12)) / warmth, axis=1)
    student = np.log(softmax(outputs / warmth, axis=1))
    divergence = (soft * (np.log(soft) - student)).sum(axis=1)
    np.testing.assert_allclose(got.numpy(), warmth**2 * divergence, rtol=1e-4)


def fails(space: Path, code: str, rows: tuple[str, ...] = ("test",)) -> KitError:
    with pytest.raises(KitError) as caught:
        pseudo(space, ["runs/lgbm"], "none", PseudoRequest(RULE, rows=rows))
    assert caught.value.code == code, caught.value
    assert not (space / "pseudo_labels/none").exists()
    return caught.value


def test_a_mean_over_folds_is_refused(school: Path) -> None:
    table = pd.read_csv(write(school, "test"), dtype={"id": str})
    table.drop(columns="fold").groupby("id").mean().to_csv(school / "mean.csv")
    bring(school, school / "mean.csv", write(school, "oof"))
    error = fails(school, "D61")
    assert isinstance(error, DataError)
    assert "its test rows are means over the models of all folds" in str(error)
    assert "both with a column fold" in error.hint


def test_predictions_without_folds_are_refused(school: Path) -> None:
    table = pd.read_csv(write(school, "test"), dtype={"id": str})
    table.drop(columns="fold").groupby("id").mean().to_csv(school / "mean.csv")
    bring(school, school / "mean.csv", None)
    assert isinstance(fails(school, "D43"), InvalidError)


def test_training_rows_are_refused(foreign: Path) -> None:
    error = fails(foreign, "D41", ("test", "train"))
    assert "lgbm@plain was imported, and has no predictions of the rows" in str(error)
    assert error.hint == "--rows test"


def test_a_stack_is_no_teacher(foreign: Path) -> None:
    run = Run(foreign / "runs" / "lgbm")
    text = (run.folder / "manifest.json").read_text()
    (run.folder / "manifest.json").write_text(text.replace('"imported"', '"stacked"'))
    assert "fitted on predictions by networks of all folds" in str(fails(foreign, "D61"))
