"""Folds without a score are known before training: no prediction of their rows has one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kit.data.folds import Folds
from kit.data.table import Table
from kit.errors import KitWarning
from kit.evaluation.unscored_folds import find_unscored_folds, warn_of_unscored_folds
from kit.kinds import Metric
from kit.kinds.score_context import ScoreContext
from kit.kinds.several_target import SeveralTarget
from kit.kinds.targets import NUMBERS, ONE_CLASS, Target
from kit.stages.checks.score import check_folds_have_scores

FOLDS = Folds(np.array(list("abcdef")), np.array([[0], [0], [1], [1], [2], [2]]))


def table(labels: np.ndarray, classes: tuple[str, ...], target: Target = ONE_CLASS) -> Table:
    return Table(FOLDS.ids, [Path(name) for name in FOLDS.ids], classes, labels, target=target)


def opened(metric: object, rows: Table) -> Metric:
    return Metric.open(metric).with_known(context=ScoreContext(rows.classes, target=rows.target))


def test_a_fold_of_one_class_has_no_auc_but_an_accuracy() -> None:
    rows = table(np.array([0, 1, 1, 1, 0, 1]), ("no", "yes"))
    reasons = find_unscored_folds(opened("auc", rows), rows, FOLDS)
    assert list(reasons) == [1]
    assert find_unscored_folds(opened("accuracy", rows), rows, FOLDS) == {}
    with pytest.warns(KitWarning, match="^W90 fold 1 will have no auc: "):
        warn_of_unscored_folds(opened("auc", rows), rows, FOLDS)
    (finding,) = check_folds_have_scores(opened("auc", rows), rows, FOLDS)
    assert finding.code == "K53"
    assert finding.summary == "1 of 3 folds have no auc"
    assert [case.detail.partition(":")[0] for case in finding.cases] == ["fold 1"]


def test_a_fold_without_a_label_of_a_part_has_no_score() -> None:
    none = np.nan
    labels = np.array(
        [[1, 0, 1, 0], [0, 1, none, none], [1, 0, none, none], [0, 1, none, none], [1, 0, 0, 1], [0, 1, 1, 0]]
    )
    classes = ("root=x", "root=y", "vowel=u", "vowel=v")
    rows = table(labels, classes, SeveralTarget((("root", 2), ("vowel", 2))))
    reasons = find_unscored_folds(opened("parts", rows), rows, FOLDS)
    assert reasons == {1: "no scored row has a label of part 'vowel'"}


def test_every_fold_of_numbers_has_an_error() -> None:
    rows = table(np.array([[1.0], [2.0], [3.0], [3.0], [1.0], [5.0]]), ("y",), NUMBERS)
    assert find_unscored_folds(opened("rmse", rows), rows, FOLDS) == {}
