"""A bundle of a competition with joined tables predicts new rows, whose tables lie beside the new test table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kit.errors import ConfigError, DataError
from kit.stages.bundles.packing import bundle
from kit.stages.bundles.predicting import predict_bundle
from kit.stages.bundles.prediction import PredictionInput
from tests.drawn_competitions import ROWS, TESTS, StandIn, below, names, sample, table
from tests.drawn_tables import csv, make
from tests.entering import Entered, draw, enter

pytestmark = pytest.mark.filterwarnings("ignore::kit.errors.KitWarning")


def visits(prefix: str, count: int) -> list[str]:
    """Two images a visit, two visits a patient."""
    return [f"{prefix}v{n},{prefix}p{n // 2}" for n in range(count // 2)]


def visit_of(prefix: str, count: int) -> list[str]:
    return [f"{prefix}v{n // 2}" for n in range(count)]


def patients() -> StandIn:
    """Images by visit, visits by patient, a label and an answer a patient."""
    train, tests = names("a", ROWS), names("t", TESTS)
    grades = [f"ap{n},{'mild' if n % 2 else 'severe'}" for n in range(ROWS // 4)]
    files = {
        "train_images.csv": table("image,visit_id", train, visit_of("a", ROWS)),
        "test_images.csv": table("image,visit_id", tests, visit_of("t", TESTS)),
        "visits.csv": csv("visit_id,patient_id", *visits("a", ROWS), *visits("t", TESTS)),
        "diagnoses.csv": csv("patient_id,grade", *grades),
        "sample_submission.csv": sample("patient_id,grade", [f"tp{n}" for n in range(TESTS // 4)], "mild"),
    }
    return StandIn(files, below("train", train, ".png") + below("test", tests, ".png"), {}, {}, "label")


@pytest.fixture(scope="module")
def entered(tmp_path_factory: pytest.TempPathFactory) -> Entered:
    return enter(tmp_path_factory.mktemp("patients"), patients())


@pytest.fixture(scope="module")
def packed(entered: Entered, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle(
        entered.space, [str(entered.submitted.record)], tmp_path_factory.mktemp("out") / "bundle"
    ).folder


def new_rows(root: Path) -> PredictionInput:
    """Other images, visits and patients than those of the competition."""
    tests = names("n", 12)
    make(
        root,
        {
            "test_images.csv": table("image,visit_id", tests, visit_of("n", 12)),
            "visits.csv": csv("visit_id,patient_id", *visits("n", 12)),
            "sample_submission.csv": sample("patient_id,grade", ["np0", "np1", "np2"], "mild"),
        },
    )
    draw(root, below("images", tests, ".png"))
    return PredictionInput(root / "images", root / "sample_submission.csv", root / "test_images.csv")


def test_kit_init_joins_both_tables(entered: Entered) -> None:
    data = entered.space.competition.data
    assert [(one.table, one.on, one.rows) for one in data.join] == [
        ("visits.csv", "visit_id", "all"),
        ("diagnoses.csv", "patient_id", "train"),
    ]
    assert data.answer == "patient_id"


def test_the_bundle_predicts_as_the_blend_did(entered: Entered, packed: Path, tmp_path: Path) -> None:
    root = entered.space.root
    given = PredictionInput(root / "test", root / "sample_submission.csv", root / "test_images.csv")
    out = predict_bundle(packed, given, tmp_path / "out.csv", tmp_path / "work")
    assert out.read_text() == entered.submitted.path.read_text()


def test_new_rows_are_joined_to_their_own_table(packed: Path, tmp_path: Path) -> None:
    given = new_rows(tmp_path / "new")
    out = predict_bundle(packed, given, tmp_path / "out.csv", tmp_path / "work")
    written = pd.read_csv(out)
    assert written["patient_id"].tolist() == ["np0", "np1", "np2"]
    assert set(written["grade"]) <= {"mild", "severe"}


def test_a_missing_table_and_missing_keys_are_named(packed: Path, tmp_path: Path) -> None:
    given = new_rows(tmp_path / "new")
    file = tmp_path / "new/visits.csv"
    file.write_text(csv("visit_id,patient_id", *visits("n", 10)))
    with pytest.raises(DataError, match=r"D81 data.join: 2 of 12 test rows"):
        predict_bundle(packed, given, tmp_path / "out.csv", tmp_path / "work")
    file.unlink()
    with pytest.raises(ConfigError, match="C07 data.join: visits.csv is joined to the test rows"):
        predict_bundle(packed, given, tmp_path / "out.csv", tmp_path / "work2")
