"""A stand-in of Recursion: each class at most once on a plate, out of fold, in the file and in a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment

from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.table import train_table
from kit.errors import ConfigError, KitWarning
from kit.experiment.sample_fit import warn_about_prediction
from kit.stages.blending.blend import Submitted, blend
from kit.stages.blending.unscored import UnscoredSubmission
from kit.stages.bundles.packing import bundle
from kit.stages.bundles.predicting import predict_bundle
from kit.stages.bundles.prediction import PredictionInput
from kit.stages.leaderboard.noise import noise
from kit.stages.sharing.foreign import import_predictions
from kit.stages.submission.board import Board
from tests.drawn_competitions import COMPETITIONS
from tests.entering import Entered, enter

PLATES: dict[str, Any] = {"name": "assignment", "group": ["experiment", "plate"]}
CLASSES = ["513", "840", "1020"]
pytestmark = pytest.mark.filterwarnings("ignore::kit.errors.KitWarning")


@pytest.fixture(scope="module")
def entered(tmp_path_factory: pytest.TempPathFactory) -> Entered:
    return enter(tmp_path_factory.mktemp("recursion"), COMPETITIONS["Recursion Cellular"], "accuracy")


def assign_by_hand(rows: pd.DataFrame) -> pd.Series:
    """The class of each row, by scipy plate by plate."""
    classes = pd.Series(index=rows.index, dtype=object)
    for _, plate in rows.groupby(["experiment", "plate"]):
        at, chosen = linear_sum_assignment(np.log(plate[CLASSES].to_numpy(float)), maximize=True)
        classes[plate.index[at]] = [CLASSES[number] for number in chosen]
    return classes


def rows_of(one: Entered, split: str) -> pd.DataFrame:
    """The mean prediction of each row, and its plate."""
    predictions = Predictions.read(one.run.folder / f"predictions/plain/{split}.parquet").mean()
    assert list(predictions.classes) == CLASSES
    file = "train.csv" if split == "oof" else "test.csv"
    table = pd.read_csv(one.space.root / file, dtype=str).set_index("id_code")
    return table.join(pd.DataFrame(predictions.probabilities, predictions.ids, CLASSES))


def test_a_plate_has_each_class_once_in_the_score_and_in_the_file(entered: Entered) -> None:
    submission = blend(entered.space, ["runs/a@plain"], ensembler=PLATES, name="plates")
    assert isinstance(submission, Submitted)
    train_rows, test_rows = rows_of(entered, "oof"), rows_of(entered, "test")
    right = assign_by_hand(train_rows) == train_rows["sirna"]
    assert submission.cv == pytest.approx(right.mean())
    file = pd.read_csv(submission.path, dtype=str).set_index("id_code")["sirna"]
    assert file.to_dict() == assign_by_hand(test_rows).to_dict()
    assert not test_rows.assign(said=file).duplicated(["experiment", "plate", "said"]).any()
    entry = Board.read(entered.space.submissions).entries[-1]
    assert noise(entered.space, entry).rows == len(train_rows)
    print("Recursion Cellular: kit init, kit blend RUN --ensembler assignment ensembler.group; valid")


def test_class_sets_are_cross_fitted(entered: Entered) -> None:
    submission = blend(entered.space, ["runs/a@plain"], ensembler={**PLATES, "class_sets": True}, name="sets")
    assert isinstance(submission, Submitted)
    assert json.loads(submission.record.read_text())["ensembler"]["sets"] == [0, 0, 0]


def test_a_bundle_assigns_plates_as_the_blend_did(entered: Entered, tmp_path: Path) -> None:
    submission = blend(entered.space, ["runs/a@plain"], ensembler=PLATES, name="bundled")
    assert isinstance(submission, Submitted)
    packed = bundle(entered.space, [str(submission.record)], tmp_path / "bundle")
    root = entered.space.root
    given = PredictionInput(root / "test", root / "sample_submission.csv", root / "test.csv")
    out = predict_bundle(packed.folder, given, tmp_path / "out.csv", tmp_path / "work")
    assert out.read_text() == submission.path.read_text()


def test_a_blend_without_folds_assigns_plates_too(entered: Entered) -> None:
    predicted = rows_of(entered, "test")[CLASSES].rename_axis("id").reset_index()
    file = entered.space.root / "foreign.csv"
    predicted.to_csv(file, index=False)
    import_predictions(entered.space, file, "foreign")
    submission = blend(entered.space, ["runs/foreign"], ensembler=PLATES)
    assert isinstance(submission, UnscoredSubmission)
    written = pd.read_csv(submission.path, dtype=str).set_index("id_code")["sirna"]
    assert written.to_dict() == assign_by_hand(rows_of(entered, "test")).to_dict()


def test_a_column_that_a_table_lacks_is_named(entered: Entered) -> None:
    wrong = {**PLATES, "group": ["experiment", "plates"]}
    with pytest.raises(ConfigError, match=r"C07 .*'plates'.*training table.*did you mean 'plate'"):
        blend(entered.space, ["runs/a@plain"], ensembler=wrong)
    workspace = Workspace.open(entered.space.root, ["ensembler=assignment", 'ensembler.group=["sirna"]'])
    with pytest.warns(KitWarning, match=r"(?s)W41 kit blend will stop: C07 .*'sirna'.*test table"):
        warn_about_prediction(workspace, train_table(workspace))


def test_the_rule_is_the_outermost_one(entered: Entered) -> None:
    with pytest.raises(ConfigError, match="C81 ensembler 'assignment' acts on final rows"):
        blend(entered.space, ["runs/a@plain"], ensembler={"name": "class_factors", "base": PLATES})
