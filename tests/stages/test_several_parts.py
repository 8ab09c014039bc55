"""Competitions whose answers have several parts, from kit init to a valid submission."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import log_loss, recall_score

from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.table import train_table
from kit.errors import ConfigError, DataError, KitWarning
from kit.stages.blending.blend import Submitted, blend
from kit.stages.discovery.initialise import initialise
from kit.stages.prediction.tta import tta
from kit.stages.reporting.gathering import gather_facts
from kit.stages.reporting.page import page
from kit.stages.submission.validation import check_submission
from kit.stages.training.train import train
from tests.entering import TINY

ROWS, TESTS = 24, 4
GRAPHEME = {"grapheme_root": 4, "vowel_diacritic": 3, "consonant_diacritic": 2}
SEVERITY = ("Normal/Mild", "Moderate", "Severe")
LEVELS = (
    "left_neural_foraminal_narrowing_l1_l2",
    "right_neural_foraminal_narrowing_l1_l2",
    "spinal_canal_stenosis_l1_l2",
    "spinal_canal_stenosis_l2_l3",
    "left_subarticular_stenosis_l1_l2",
)
GRADES = {"Normal/Mild": 1, "Moderate": 2, "Severe": 4}  # and the weights of the competition
LUMBAR = {
    "name": "mean",
    "weights": [3, 1],
    "of": [
        {
            "name": "parts",
            "of": {"name": "log_loss", "class_weights": GRADES},
            "pools": {name: [f"*{name}*"] for name in ("spinal", "foraminal", "subarticular")},
        },
        {"name": "any_part", "parts": ["spinal*"], "classes": ["Severe"], "class_weights": GRADES},
    ],
}


def write_images(root: Path, prefix: str, names: list[str]) -> None:
    (root / prefix).mkdir()
    rng = np.random.default_rng(len(names))
    for name in names:
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).save(root / prefix / f"{name}.png")


def bengali(root: Path, long: bool = True) -> None:
    trained, tested = [f"Train_{row}" for row in range(ROWS)], [f"Test_{row}" for row in range(TESTS)]
    write_images(root, "train", trained)
    write_images(root, "test", tested)
    rng = np.random.default_rng(0)
    cells = {part: rng.permutation(np.arange(ROWS) % size) for part, size in GRAPHEME.items()}
    pd.DataFrame({"image_id": trained, **cells}).to_csv(root / "train.csv", index=False)
    rows = [f"{name}_{part}" for name in tested for part in sorted(GRAPHEME)]
    sample = pd.DataFrame({"row_id": rows, "target": 0})
    if not long:
        sample = pd.DataFrame({"image_id": tested, **dict.fromkeys(sorted(GRAPHEME), 0)})
    sample.to_csv(root / "sample_submission.csv", index=False)


def lumbar(root: Path) -> None:
    """Five of the 25 columns; two have no severe row, and labels are missing as in the real table."""
    trained, tested = [str(1000 + row) for row in range(ROWS)], [str(2000 + row) for row in range(TESTS)]
    write_images(root, "train", trained)
    write_images(root, "test", tested)
    rng = np.random.default_rng(1)
    cells = {
        part: rng.permutation([SEVERITY[row % (3 - (at in (1, 3)))] for row in range(ROWS)])
        for at, part in enumerate(LEVELS)
    }
    frame = pd.DataFrame({"study_id": trained, **cells})
    frame.loc[[2, 5], [LEVELS[0], LEVELS[3]]] = None
    frame.loc[[5, 7], LEVELS[2]] = None
    frame.to_csv(root / "train.csv", index=False)
    rows = [f"{name}_{part}" for name in tested for part in LEVELS]
    sample = pd.DataFrame({"row_id": rows, **dict.fromkeys(("normal_mild", "moderate", "severe"), 1 / 3)})
    sample.to_csv(root / "sample_submission.csv", index=False)


def enter(root: Path, metric: Mapping[str, object], ensembler: str = "mean") -> pd.DataFrame:
    """The submission after kit init, train, tta and blend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = initialise(root, "scratch")
        config = json.loads(result.path.read_text())
        assert config["data"]["target"] == "several", result.findings
        assert config["loss"] == "several" or config["loss"]["name"] == "several"
        result.path.write_text(json.dumps({**config, "metric": metric}))
        run = train(root, TINY, name="a")
        tta(root, [run.folder], views="plain")
        tta(root, [run.folder], views="hflip")
        submission = blend(root, ["runs/a@plain", "runs/a@hflip"], ensembler=ensembler)
        assert isinstance(submission, Submitted)
        assert check_submission(Workspace.open(root), submission.path).faults == ()
        return pd.read_csv(submission.path, dtype=str)


BENGALI = {
    "name": "parts",
    "of": {"name": "recall", "average": "macro"},
    "weights": {"grapheme_root": 2},
}


def test_bengali_is_entered_with_a_row_for_each_part(tmp_path: Path) -> None:
    bengali(tmp_path)
    written = enter(tmp_path, BENGALI)
    assert list(written.columns) == ["row_id", "target"]
    blended = Predictions.read(tmp_path / "runs/a/predictions/plain/oof.parquet")
    frame = pd.read_csv(tmp_path / "train.csv").set_index("image_id").loc[blended.ids.tolist()]
    recalls = []
    for part in GRAPHEME:
        places = [at for at, name in enumerate(blended.classes) if name.startswith(f"{part}=")]
        own = blended.probabilities[:, places]
        assert np.allclose(own.sum(axis=1), 1, atol=1e-3)
        recalls.append(recall_score(frame[part], own.argmax(axis=1), average="macro"))
    assert blended.provenance.scores is not None
    assert blended.provenance.scores["parts"] == pytest.approx(np.average(recalls, weights=[2, 1, 1]))


def test_a_column_for_each_part_is_written_too_and_reported(tmp_path: Path) -> None:
    bengali(tmp_path, long=False)
    written = enter(tmp_path, BENGALI, "hill_climb")
    assert list(written.columns) == ["image_id", *sorted(GRAPHEME)]
    assert all(int(cell) < size for part, size in GRAPHEME.items() for cell in written[part])
    assert "grapheme_root=0" in page(gather_facts(tmp_path, check=False))


def score_lumbar(solution: pd.DataFrame, submission: pd.DataFrame) -> float:
    """The published score: each row has an id, a condition, probabilities of three grades and, if true, a weight.

    It is the mean of a weighted log loss of each condition's rows, and of one of whether any spinal row is severe.
    """
    grades, losses = ["normal_mild", "moderate", "severe"], []
    for condition in ("spinal", "foraminal", "subarticular"):
        own = (solution["condition"] == condition).to_numpy()
        true, said = solution.loc[own, grades], submission.loc[own, grades]
        losses.append(
            log_loss(true.to_numpy(), said.to_numpy(), sample_weight=solution.loc[own, "sample_weight"])
        )
    own = (solution["condition"] == "spinal").to_numpy()
    any_severe = solution[own].groupby("study_id")[["severe", "sample_weight"]].max()
    said_severe = submission[own].groupby(solution.loc[own, "study_id"])["severe"].max()
    losses.append(log_loss(any_severe["severe"], said_severe, sample_weight=any_severe["sample_weight"]))
    return float(np.average(losses, weights=[1, 1, 1, 1.0]))


def test_lumbar_is_entered_with_its_own_score(tmp_path: Path) -> None:
    lumbar(tmp_path)
    written = enter(tmp_path, LUMBAR, "simplex")
    assert list(written.columns) == ["row_id", "normal_mild", "moderate", "severe"]
    values = written.iloc[:, 1:].astype(float)
    assert np.allclose(values.sum(axis=1), 1, atol=1e-3)
    assert (values["severe"][written["row_id"].str.endswith(LEVELS[1])] == 0).all()
    predictions = Predictions.read(tmp_path / "runs/a/predictions/plain/oof.parquet")
    frame = pd.read_csv(tmp_path / "train.csv", dtype=str).set_index("study_id").loc[predictions.ids.tolist()]
    names = dict(zip(SEVERITY, ("normal_mild", "moderate", "severe"), strict=True))
    true, said = [], []
    for row, name in enumerate(predictions.ids):
        for part in LEVELS:
            grade = frame.loc[name, part]
            if grade != grade:
                continue  # the scorer has no such row
            condition = next(one for one in ("spinal", "foraminal", "subarticular") if one in part)
            own = {
                column.partition("=")[2]: at
                for at, column in enumerate(predictions.classes)
                if part in column
            }
            shares = {
                names[one]: float(predictions.probabilities[row, own[one]]) if one in own else 0.0
                for one in SEVERITY
            }
            true.append(
                {
                    "study_id": name,
                    "condition": condition,
                    "sample_weight": GRADES[grade],
                    **{names[one]: int(one == grade) for one in SEVERITY},
                }
            )
            said.append({key: value / sum(shares.values()) for key, value in shares.items()})
    expected = score_lumbar(pd.DataFrame(true), pd.DataFrame(said))
    assert predictions.provenance.scores is not None
    assert predictions.provenance.scores["mean"] == pytest.approx(expected, rel=1e-5)


def test_votes_are_no_parts_if_the_sample_shows_shares(tmp_path: Path) -> None:
    bengali(tmp_path, long=False)
    frame = pd.read_csv(tmp_path / "train.csv")
    frame["consonant_diacritic"] = (3 - frame["grapheme_root"]).clip(lower=0)  # each row has a vote
    frame.to_csv(tmp_path / "train.csv", index=False)
    sample = pd.read_csv(tmp_path / "sample_submission.csv").assign(**dict.fromkeys(GRAPHEME, 1 / 3))
    sample.to_csv(tmp_path / "sample_submission.csv", index=False)
    config = json.loads(initialise(tmp_path, "scratch").path.read_text())
    assert config["data"]["target"] == "shares"


def test_bad_columns_of_parts_are_refused(tmp_path: Path) -> None:
    bengali(tmp_path)
    initialise(tmp_path, "scratch")
    frame = pd.read_csv(tmp_path / "train.csv", dtype=str)

    def read(changed: pd.DataFrame) -> None:
        changed.to_csv(tmp_path / "train.csv", index=False)
        train_table(tmp_path)

    with pytest.raises(DataError, match="1 parts have nothing to learn") as raised:
        read(frame.assign(vowel_diacritic="1"))
    assert raised.value.code == "D39"
    blank = frame.copy()
    blank.loc[3, list(GRAPHEME)] = None
    with pytest.raises(DataError, match="have no label of any part"):
        read(blank)
    with pytest.raises(ConfigError, match="are not columns"):
        read(frame.drop(columns="vowel_diacritic"))


def test_a_fold_without_a_label_of_a_part_says_why_it_has_no_score(tmp_path: Path) -> None:
    bengali(tmp_path)
    frame = pd.read_csv(tmp_path / "train.csv", dtype=str).assign(part=[str(row % 2) for row in range(ROWS)])
    frame.loc[frame["part"] == "1", "vowel_diacritic"] = None
    frame.to_csv(tmp_path / "train.csv", index=False)
    result = initialise(tmp_path, "scratch")
    config = json.loads(result.path.read_text())
    splitter = {"name": "column", "column": "part"}
    result.path.write_text(json.dumps({**config, "splitter": splitter, "metric": BENGALI}))
    with pytest.warns(KitWarning) as caught:
        train(tmp_path, [each for each in TINY if not each.startswith("splitter")], name="a")
    texts = [str(each.message) for each in caught]
    assert "W90 fold 1 has no parts: no scored row has a label of part 'vowel_diacritic'" in texts
    assert any(text.startswith("W06 fold 0 trains on no row of 3 classes") for text in texts)
