"""Teachers of three folds: each says what its own networks say, of every kind of rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kit.data.folds import Folds
from kit.data.predictions import Predictions
from kit.data.table import Table
from kit.errors import ConfigError, InvalidError
from kit.kinds import Ensembler
from kit.kinds.targets import MULTI_HOT
from kit.stages.blending.members import Member
from kit.stages.pseudo_labelling.teachers import Teachers, check_teachers

IDS = np.array(["a", "b", "c"])
FOLDS = Folds(IDS, np.arange(3)[:, None])
TABLE = Table(IDS, [Path(f"/{name}.png") for name in IDS], ("k", "l"), np.array([0, 1, 0]))


def said(ids: list[str], folds: list[int], first: list[float]) -> Predictions:
    """Rows that give so much to the first of two classes."""
    shares = np.array([[value, 1 - value] for value in first], np.float32)
    return Predictions(np.array(ids), np.array(folds), ("k", "l"), shares)


def member(name: str, test: list[float], folds: tuple[int, ...] = (0, 1, 2)) -> Member:
    """Row x of the test is given `test` by each fold; each held-out row a tenth of its fold's number and a half."""
    oof = said([IDS[fold] for fold in folds], list(folds), [0.5 + fold / 10 for fold in folds])
    return Member(name, "plain", FOLDS, oof, said(["x"] * len(test), list(folds), test))


def teachers(*members: Member) -> Teachers:
    return Teachers(members, Ensembler.open("mean"), TABLE)


def test_each_fold_says_its_own_of_test_rows_of_held_out_rows_and_of_those_it_trained_on() -> None:
    own = teachers(member("m", [0.1, 0.2, 0.9]))
    trained = said(["b", "c", "a", "c", "a", "b"], [0, 0, 1, 1, 2, 2], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    for fold, value in enumerate([0.1, 0.2, 0.9]):
        assert own.of_test(fold, np.array(["x"])).probabilities[:, 0] == pytest.approx([value])
        held_out = own.of_held_out(fold)
        assert held_out.ids.tolist() == [IDS[fold]]
        assert held_out.probabilities[:, 0] == pytest.approx([0.5 + fold / 10])
    predictions = own.of_training(1, [trained])
    assert (predictions.ids.tolist(), predictions.probabilities[:, 0].tolist()) == (
        ["a", "c"],
        pytest.approx([0.3, 0.4]),
    )


def test_several_are_blended_and_agree_where_all_call_a_row_the_same() -> None:
    both = teachers(member("m", [0.1, 0.2, 0.9]), member("n", [0.3, 0.6, 0.7]))
    predictions = [both.of_test(fold, np.array(["x"])) for fold in range(3)]
    assert [float(one.probabilities[0, 0]) for one in predictions] == pytest.approx([0.2, 0.4, 0.8])
    assert [bool(one.unanimous[0]) for one in predictions] == [True, False, True]


def test_only_folds_that_all_have_are_taught() -> None:
    assert teachers(member("m", [0.1, 0.2, 0.9]), member("n", [0.3, 0.6], (0, 2))).folds == (0, 2)


def test_other_test_rows_are_refused() -> None:
    with pytest.raises(
        InvalidError, match="D41 fold 0 of m@plain predicts other rows than those of the table"
    ):
        teachers(member("m", [0.1, 0.2, 0.9])).of_test(0, np.array(["x", "y"]))


def test_a_table_of_several_labels_a_row_is_refused() -> None:
    several = Table(
        IDS, TABLE.paths, ("k", "l"), np.array([[0, 1], [1, 1], [0, 0]], np.int8), target=MULTI_HOT
    )
    with pytest.raises(ConfigError, match="C17"):
        check_teachers([member("m", [0.1, 0.2, 0.9])], several)
