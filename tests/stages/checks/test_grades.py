"""Grades that a loss takes for classes without an order, and numbers that may be grades."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.data.table import Table
from kit.kinds import Loss
from kit.kinds.targets import NUMBERS, ONE_CLASS, SOFT, Target
from kit.stages.checks.grades import check_constant, check_grades

QWK = {"name": "cohen_kappa", "weights": "quadratic"}


def table(labels: np.ndarray, target: Target = ONE_CLASS) -> Table:
    ids = np.array([f"{row:03d}" for row in range(len(labels))])
    return Table(ids, [Path(name) for name in ids], ("0", "1", "2"), labels, target=target)


@pytest.mark.parametrize(
    ("metric", "loss", "codes"),
    [
        (QWK, "cross_entropy", ["K47"]),
        (QWK, {"name": "mixup", "base": "bce"}, ["K47"]),
        (QWK, {"name": "mixup", "base": "coral"}, []),
        (QWK, "grade_regression", []),
        ({"name": "cohen_kappa"}, "cross_entropy", []),
        ({"name": "accuracy"}, "cross_entropy", []),
    ],
)
def test_a_metric_of_grades_wants_a_loss_of_grades(
    metric: dict[str, Any], loss: object, codes: list[str]
) -> None:
    findings = list(check_grades(table(np.arange(6) % 3), metric, Loss.open(loss)))
    assert [one.code for one in findings] == codes


def test_few_different_whole_numbers_may_be_grades() -> None:
    values = np.stack([np.arange(40) % 5, np.arange(40), np.arange(40) / 7], axis=1).astype(float)
    (finding,) = check_grades(table(values, target=NUMBERS), {"name": "rmse"}, Loss.open("mse"))
    assert [str(case.path) for case in finding.cases] == ["0"]
    assert finding.summary.startswith("1 of 3 columns of numbers")


def test_a_column_of_one_number_is_no_grade_but_nothing_to_learn() -> None:
    values = np.stack([np.full(40, 3.0), np.arange(40) / 7, np.arange(40) / 3], axis=1)
    rows = table(values, target=NUMBERS)
    assert list(check_grades(rows, {"name": "rmse"}, Loss.open("mse"))) == []
    (finding,) = check_constant(rows)
    assert (finding.code, finding.level) == ("K49", "problem")
    assert finding.summary == "all rows have the same number in column 0"
    assert list(check_constant(table(values[:, [1, 2, 1]], target=NUMBERS))) == []
    assert list(check_constant(table(np.arange(6) % 3))) == []
    shares = np.tile([0.2, 0.3, 0.5], (4, 1))
    (finding,) = check_constant(table(shares, target=SOFT))
    assert finding.summary == "all rows have the same shares"
    shares[2] = [0.5, 0.3, 0.2]
    assert list(check_constant(table(shares, target=SOFT))) == []
