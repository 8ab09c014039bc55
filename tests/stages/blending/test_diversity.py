"""How alike members are: numpy's correlation, errors counted by hand, and what leaving one out costs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score

from kit.commands._menu import run
from kit.data.predictions import Predictions
from kit.data.table import Table
from kit.evaluation.bootstrap import Gain
from kit.kinds.decision import Decision
from kit.kinds.targets import NUMBERS
from kit.stages.blending import diversity as module
from kit.stages.blending.blend import diversity
from kit.stages.blending.diversity import Diversity, correlation, error_matrix, overlap
from kit.stages.blending.diversity import _overlap_of_errors as errors_overlap
from kit.stages.blending.heat_map import heat_colour, png
from kit.stages.blending.members import OutOfFold
from tests.drawn_members import drawn
from tests.written_runs import LABELS, competition, write_run


@pytest.mark.parametrize("rows", [7, 4096])
def test_the_correlation_is_numpys_whatever_the_blocks(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", rows)
    members, _ = drawn(members=4, rows=50)
    np.testing.assert_allclose(correlation(members), np.corrcoef(members.reshape(4, -1)), atol=1e-6)


def test_a_member_that_never_varies_correlates_with_none() -> None:
    members, _ = drawn(members=2, rows=20)
    members[1] = 0.25
    assert correlation(members).tolist() == [[1, 0], [0, 1]]


def test_overlap_by_hand() -> None:
    # wrong on rows 0 1 2, on 1 2 3, and on none: both 2 of either 4
    errors = np.array([[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]], dtype=bool)
    assert overlap(errors).tolist() == [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]]


def test_one_error_of_one_member_is_not_shared() -> None:
    assert overlap(np.array([[True, False], [False, False]])).tolist() == [[1, 0], [0, 1]]


def test_the_correlation_of_members_that_vary_little_is_numpys() -> None:
    members = np.array([[[0.50, 0.50], [0.51, 0.49]], [[0.50, 0.50], [0.49, 0.51]]])
    np.testing.assert_allclose(correlation(members), [[1, -1], [-1, 1]], atol=1e-9)


def test_errors_of_numbers_overlap_by_their_correlation_in_units_of_each_column() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, [1, 1000], (40, 2))  # the second column would hide the first one
    members = truth + rng.normal(0, [0.5, 1], (3, 40, 2))
    ids = np.array([f"{row}" for row in range(40)])
    table = Table(ids, [Path(name) for name in ids], ("a", "b"), truth, target=NUMBERS)
    rows = OutOfFold(("x", "y", "z"), ids, members, np.zeros(40, int), table)
    errors = ((members - truth) / truth.std(axis=0)).reshape(3, -1)
    np.testing.assert_allclose(errors_overlap(rows, Decision()), np.corrcoef(errors), atol=1e-9)


def test_a_row_is_wrong_by_its_class_or_by_any_of_its_labels() -> None:
    members = np.array([[[0.6, 0.4], [0.6, 0.4]]])
    assert error_matrix(members, np.array([0, 1]), Decision()).tolist() == [[False, True]]
    truth = np.array([[1, 0], [1, 1]])
    assert error_matrix(members, truth, Decision()).tolist() == [[False, True]]
    assert error_matrix(members, truth, Decision(0.4)).tolist() == [[True, False]]
    assert error_matrix(members, truth, Decision(0.7, 1)).tolist() == [[False, True]]


def test_a_member_brings_what_the_blend_loses_without_it(tmp_path: Path) -> None:
    workspace = competition(tmp_path)
    write_run(tmp_path, "c", wrong=[0, 1, 5], sure=0.9)
    result = diversity(workspace, ["a", "b", "c"])
    stack = [
        Predictions.read(tmp_path / "runs" / name / "predictions" / "plain" / "oof.parquet").probabilities
        for name in "abc"
    ]
    truth = [sorted(set(LABELS)).index(label) for label in LABELS]

    def score(which: list[int]) -> float:
        return float(accuracy_score(truth, np.mean([stack[n] for n in which], axis=0).argmax(1)))

    assert result.score == score([0, 1, 2])
    without = [score([1, 2]), score([0, 2]), score([0, 1])]
    assert [one.value for one in result.gains] == pytest.approx([result.score - one for one in without])
    assert len(set(without)) > 1
    assert [one.over for one in result.gains] == ["without a@plain", "without b@plain", "without c@plain"]


def test_a_fitted_ensembler_is_cross_fitted_with_and_without(tmp_path: Path) -> None:
    workspace = competition(tmp_path)
    write_run(tmp_path, "c", wrong=[0, 1, 2])
    result = diversity(workspace, ["a", "b", "c"], {"name": "single"})
    assert (result.ensembler, result.score) == ("single", 1)
    # without a: fold 0 goes to c, which is best on the others and wrong on all of it; the others to b, wrong once
    assert [one.value for one in result.gains] == pytest.approx([4 / 9, 0, 0])
    assert [(one.low, one.high) for one in result.gains[1:]] == [(0, 0), (0, 0)]


def test_one_member_alone_brings_nothing_to_compare(tmp_path: Path) -> None:
    result = diversity(competition(tmp_path), ["a"])
    assert (result.gains, result.correlation.tolist()) == ((), [[1]])
    assert Image.open(io.BytesIO(png(result))).size[0] > 200


def drawn_diversity(count: int) -> Diversity:
    matrix = np.full((count, count), 0.5) + 0.5 * np.eye(count)
    gains = tuple(Gain("", (-1) ** n * 0.01, None, None) for n in range(count))
    names = tuple(f"member{n}@views" for n in range(count))
    return Diversity(names, "macro_f1", (0.5,) * count, matrix, matrix, "mean", 0.6, gains, 10)


@pytest.mark.parametrize("count", [2, 30])
def test_the_picture_has_a_cell_of_its_colour_for_each_pair(count: int) -> None:
    picture = np.asarray(Image.open(io.BytesIO(png(drawn_diversity(count)))))
    deep = (picture == heat_colour(1.0)).all(axis=2)
    cells = 2 * count * 39 * 25  # the diagonals of both matrices
    assert 0.6 * cells < deep.sum() <= cells  # the numbers stand on them


def test_colours_run_from_white_at_the_least_to_blue_at_one() -> None:
    assert heat_colour(0.4, 0.4) == heat_colour(0.1, 0.4) == (255, 255, 255)
    assert heat_colour(1.0, 0.4) == (33, 79, 140)
    assert heat_colour(0.7, 0.4) == tuple(np.rint((np.array([33, 79, 140]) + 255) / 2).astype(int))
    assert heat_colour(1.0, 1.0) == (33, 79, 140)


def test_the_command_shows_draws_and_writes_no_submission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = competition(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run(["plot", "members", "runs/a", "runs/b", "--out", "both.png"]) == 0
    said = capsys.readouterr()
    assert said.out == "both.png\n"
    assert Image.open("both.png").format == "PNG"
    rows = [line.split() for line in said.err.splitlines() if "@plain" in line]
    assert [row[:3] for row in rows] == [["1", "a@plain", "1.0000"], ["2", "b@plain", "0.8889"]]
    assert "mean of all members: accuracy 1.0000 on 9 out-of-fold rows" in said.err
    assert not workspace.submissions.exists()
    assert run(["plot", "members", "a", "b", "--ensembler", "single", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ensembler"], report["members"]) == ("single", ["a@plain", "b@plain"])
    assert len(report["gains"]) == 2
    assert report["overlap"] == [[1, 0], [0, 1]]
    assert run(["plot", "members", "a", "--out", "x.jpg"]) == 2
