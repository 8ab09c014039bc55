"""Labels that are probably wrong: the confident joint by hand, as cleanlab has it, and as kit check tells it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from kit.config.workspace import Workspace
from kit.data.table import Table
from kit.kinds.targets import MULTI_HOT, ONE_CLASS
from kit.stages.blending.members import OutOfFold
from kit.stages.checks.label_errors import find_label_errors, of_predictions
from tests.conftest import Kit


def test_the_joint_of_six_rows_is_that_worked_out_by_hand() -> None:
    """Means of the label's probability: .7 for class 0 (.9 .8 .4), .6 for class 1 (.9 .8 .1)."""
    first = np.array([0.9, 0.8, 0.4, 0.1, 0.2, 0.9])
    errors = find_label_errors(np.stack([first, 1 - first], axis=1), np.array([0, 0, 0, 1, 1, 1]))
    # row 2 reaches .6 of class 1 with .6, row 5 .7 of class 0 with .9
    assert errors.joint.tolist() == [[2, 1], [1, 2]]
    assert errors.expected == pytest.approx(2)
    assert errors.rows.tolist() == [5, 2]
    assert errors.likely.tolist() == [0, 1]
    assert errors.margins == pytest.approx([(0.1 - 0.9 + 1) / 2, (0.4 - 0.6 + 1) / 2])


def test_rows_that_reach_no_class_are_counted_in_their_labels_share() -> None:
    first = np.array([0.9, 0.9, 0.5, 0.1, 0.1, 0.9])
    errors = find_label_errors(np.stack([first, 1 - first], axis=1), np.array([0, 0, 0, 1, 1, 1]))
    # row 2 reaches neither .77 nor .63: the two that do stand for three
    assert errors.joint.tolist() == [[3, 0], [1, 2]]
    assert errors.rows.tolist() == [5]


def test_a_class_without_rows_has_no_threshold_and_no_suspects() -> None:
    shares = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]])
    errors = find_label_errors(shares, np.array([0, 1, 0]))
    assert errors.joint[2].tolist() == [0, 0, 0]
    assert errors.joint[:, 2].tolist() == [0, 0, 0]


# what cleanlab 2.9.0 gives for the rows of `drawn`: get_label_quality_scores by normalized_margin, the least first;
# num_label_issues by off_diagonal_calibrated; compute_confident_joint
CLEANLAB_FIRST, CLEANLAB_COUNT = [15, 12, 39, 11, 28, 23, 25, 33, 19, 7], 36
CLEANLAB_LAST = [116, 6, 3, 391]
CLEANLAB_JOINT = [[80, 0, 0, 10], [9, 83, 0, 0], [0, 5, 94, 0], [0, 0, 12, 107]]


def drawn() -> tuple[np.ndarray, np.ndarray]:
    """400 rows of four classes, 40 of them labelled as the next class."""
    rng = np.random.default_rng(0)
    truth = rng.integers(4, size=400)
    labels = np.where(np.arange(400) < 40, (truth + 1) % 4, truth)
    logits = rng.normal(size=(400, 4)) + 3 * np.eye(4)[truth]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return shares, labels


def test_suspects_and_joint_are_cleanlabs() -> None:
    errors = find_label_errors(*drawn())
    assert errors.rows.tolist()[:10] == CLEANLAB_FIRST
    assert len(errors.rows) == CLEANLAB_COUNT
    assert np.abs(errors.joint - CLEANLAB_JOINT).max() < 1  # cleanlab rounds to whole rows
    assert errors.rows.tolist()[-4:] == CLEANLAB_LAST


def rows(labels: np.ndarray, classes: int) -> Table:
    names = np.array([f"r{row:03d}" for row in range(len(labels))])
    target = MULTI_HOT if labels.ndim == 2 else ONE_CLASS
    return Table(names, [Path(name) for name in names], tuple("abcdef"[:classes]), labels, target=target)


def test_a_finding_ranks_rows_by_what_several_runs_say_in_the_mean() -> None:
    shares, labels = drawn()
    table = rows(labels, 4)
    members = np.stack([shares, shares]).astype(np.float32)
    (finding,) = of_predictions(OutOfFold(("runs/r", "runs/s"), table.ids, members, labels * 0, table))
    assert finding.code == "K13"
    assert finding.summary.startswith(
        f"{CLEANLAB_COUNT} labels are probably wrong according to runs/r and runs/s, about "
    )
    row = CLEANLAB_FIRST[0]
    assert finding.cases[0].id == f"r{row:03d}"
    assert finding.cases[0].detail.startswith(
        f"labelled {'abcd'[labels[row]]}, predicted {'abcd'[shares[row].argmax()]} ("
    )


def test_several_labels_a_row_are_a_question_each() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(2, size=(200, 3))
    shares = np.clip(0.9 * truth + 0.05 + 0.04 * rng.normal(size=(200, 3)), 0.01, 0.99)
    given = truth.copy()
    given[7, 1], given[9, 2] = 1 - given[7, 1], 1 - given[9, 2]
    table = rows(given.astype(np.int8), 3)
    (finding,) = of_predictions(OutOfFold(("r",), table.ids, shares[None], np.zeros(200, int), table))
    assert sorted((case.id, case.detail.split(",")[0].split()[-1]) for case in finding.cases) == [
        ("r007", "b"),
        ("r009", "c"),
    ]


def test_right_labels_and_sure_models_are_no_finding() -> None:
    truth = np.arange(90) % 3
    table = rows(truth, 3)
    shares = 0.94 * np.eye(3)[truth] + 0.02
    assert list(of_predictions(OutOfFold(("r",), table.ids, shares[None], truth * 0, table))) == []


# --------------------------------------------------------------------------------------------- kit check


@pytest.fixture
def workspace(space: Path) -> Workspace:
    return Workspace.open(space)


def test_check_checks_labels_by_runs_and_writes_all_cases(workspace: Workspace, kit: Kit) -> None:
    _, out, _ = kit("check", "--json", "--csv", "cases.csv")
    findings = {one["code"]: one for one in json.loads(out)["findings"]}
    assert findings["K18"]["summary"].startswith("the sampling noise of macro_f1 is 0.")
    assert "from runs/a" in findings["K18"]["summary"]
    with (workspace.root / "cases.csv").open() as file:
        read = list(csv.DictReader(file))
    assert len(read) == sum(len(one["cases"]) for one in findings.values())
    assert {row["code"] for row in read} == set(findings)


def test_a_run_that_does_not_exist_is_refused(workspace: Workspace, kit: Kit) -> None:
    status, _, said = kit("check", "--runs", "runs/b")
    assert status == 2
    assert "C15 no run 'runs/b'" in said
    status, _, said = kit("check", "--runs", "runs/a@d4")
    assert status == 4
    assert "D41" in said
