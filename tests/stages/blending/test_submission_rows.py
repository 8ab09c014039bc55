"""Test rows are blended fold by fold, since what was fitted was fitted on one model's rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kit.kinds import Ensembler
from kit.stages.blending.members import read_members
from kit.stages.blending.submission_rows import blend_test_rows
from tests.written_runs import TEST, competition, write_run

DOUBLED = {"name": "class_factors", "factors": [1, 1, 2]}


def test_factors_act_on_each_folds_model_before_the_mean(tmp_path: Path) -> None:
    members = read_members(competition(tmp_path), ["a"])
    made = blend_test_rows(members, Ensembler.open(DOUBLED), TEST)
    # row 1: fold 0 says .1 .8 .1, fold 1 says .1 .1 .8; the third class counts twice
    first, second = np.array([0.1, 0.8, 0.2]) / 1.1, np.array([0.1, 0.1, 1.6]) / 1.8
    assert made.probabilities[1] == pytest.approx((first + second) / 2)
    mean_first = np.array([0.1, 0.45, 0.9]) / 1.45
    assert abs(made.probabilities[1] - mean_first).max() > 0.01


def test_rows_are_found_by_id(tmp_path: Path) -> None:
    members = read_members(competition(tmp_path), ["a", "b"])
    made, turned = (blend_test_rows(members, Ensembler.open("mean"), ids) for ids in (TEST, TEST[::-1]))
    assert turned.ids.tolist() == list(TEST[::-1])
    assert (turned.probabilities == made.probabilities[::-1]).all()


def test_members_of_other_folds_than_one_another_are_blended_by_their_means(tmp_path: Path) -> None:
    workspace = competition(tmp_path)
    file = write_run(workspace.root, "b") / "predictions" / "plain" / "test.parquet"
    (b,) = read_members(workspace, ["b"])
    b.test.take(b.test.folds == 0).write(file)
    made = blend_test_rows(read_members(workspace, ["a", "b"]), Ensembler.open(DOUBLED), TEST)
    mean = (np.array([0.1, 0.45, 0.45]) + np.array([0.1, 0.8, 0.1])) / 2 * [1, 1, 2]
    assert made.probabilities[1] == pytest.approx(mean / mean.sum())
