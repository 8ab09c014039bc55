"""Test rows that differ from training rows are found, with an AUC that scikit-learn confirms; others are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from kit.data.table import Table
from kit.stages.checks.adversarial import check_embeddings, check_measures, classify_train_vs_test
from kit.stages.checks.columns import column_measures
from kit.stages.checks.shift import Measures

IS_TEST = np.arange(400) % 3 == 0
ALONE = np.arange(400)


def test_an_auc_is_sklearns_and_its_interval_holds_it() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 3))
    values[IS_TEST, 1] += 1.5
    result = classify_train_vs_test(values, ("a", "b", "c"), IS_TEST, ALONE)
    assert result is not None
    assert result.auc == pytest.approx(roc_auc_score(IS_TEST, result.shares))
    assert result.interval[0] < result.auc < result.interval[1]
    # two normal distributions 1.5 apart: the best AUC there is is Phi(1.5 / sqrt 2) = .856
    assert 0.75 < result.auc < 0.9
    assert next(iter(result.falls)) == "b"
    assert result.falls["b"] > 0.1 > abs(result.falls["a"])


def test_the_interval_is_delongs() -> None:
    """The variance of an AUC by the placements of either set. Source: DeLong et al. 1988."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(400, 1)) + IS_TEST[:, None]
    result = classify_train_vs_test(values, ("a",), IS_TEST, ALONE, "linear")
    assert result is not None
    above = result.shares[IS_TEST][:, None] > result.shares[~IS_TEST][None]
    error = np.sqrt(above.mean(1).var(ddof=1) / IS_TEST.sum() + above.mean(0).var(ddof=1) / (~IS_TEST).sum())
    assert (result.interval[1] - result.interval[0]) / (2 * 1.96) == pytest.approx(error, rel=0.15)


def test_sets_that_are_one_are_no_finding() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(400, 3))
    result = classify_train_vs_test(values, ("a", "b", "c"), IS_TEST, ALONE)
    assert result is not None
    assert result.interval[0] < 0.55
    assert list(check_measures(result, values, ("a", "b", "c"), np.arange(400).astype(str), 100)) == []


def test_groups_stay_whole_so_that_a_persons_look_tells_nothing() -> None:
    """Each group of four has a look of its own, in one of the sets: rows drawn one by one would be recognised by it."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(100), 4)
    is_test = groups % 2 == 0
    looks = rng.normal(size=(100, 6))[groups] + 0.01 * rng.normal(size=(400, 6))
    whole, torn = (
        classify_train_vs_test(looks, tuple("abcdef"), is_test, units) for units in (groups, ALONE)
    )
    assert whole is not None
    assert torn is not None
    assert torn.auc > 0.9
    assert whole.interval[0] < 0.55
    assert whole.interval[1] - whole.interval[0] > 0.15


def test_few_rows_or_groups_are_not_evaluated() -> None:
    rng = np.random.default_rng(4)
    assert classify_train_vs_test(rng.normal(size=(30, 1)), ("a",), np.arange(30) < 15, np.arange(30)) is None
    assert classify_train_vs_test(rng.normal(size=(400, 1)), ("a",), IS_TEST, IS_TEST.astype(int)) is None


def test_a_finding_says_what_gives_it_away_and_which_rows() -> None:
    rng = np.random.default_rng(5)
    order = np.argsort(IS_TEST, kind="stable")
    is_test, train = IS_TEST[order], int((~IS_TEST).sum())
    values = np.stack([rng.normal(size=400), 100.0 - 30 * is_test + rng.normal(size=400)], axis=1)
    values[5, 1] = 70  # a training row as dark as the test set
    result = classify_train_vs_test(values, ("width", "brightness"), is_test, ALONE)
    ids = np.array([f"r{row}" for row in range(400)])
    (finding,) = check_measures(result, values, ("width", "brightness"), ids, train)
    assert finding.code == "K14"
    assert str(finding.cases[0]).startswith("brightness: median ")
    assert next(case.id for case in finding.cases if case.split == "train") == "r5"
    assert len([case for case in finding.cases if case.split == "test"]) == 10
    assert result is not None
    (seen,) = check_embeddings(result, "runs/r@plain", ids, train)
    assert seen.code == "K15"


def table(count: int, **columns: list[str]) -> Table:
    ids = np.array([str(row) for row in range(count)])
    return Table(ids, [Path(name) for name in ids.tolist()], frame=pd.DataFrame(columns))


def test_columns_of_both_tables_are_numbers_or_few_words() -> None:
    train = table(
        60, age=["30", "41"] * 30, site=["x"] * 60, name=[f"n{row}" for row in range(60)], label=["a"] * 60
    )
    test = table(20, age=["50", "?"] + ["60"] * 18, site=["y"] * 20, name=[f"m{row}" for row in range(20)])
    measures = Measures({"width": np.arange(80.0)}, np.array(["PNG"] * 79 + ["JPEG"]))
    values, names = column_measures(measures, train, test, ("id", "label"))
    assert names == ["width", "format", "column age", "column site"]
    assert values[59:62, 2].tolist()[:2] == [41, 50]
    assert np.isnan(values[61, 2])
    assert values[:, 3].tolist() == [0.0] * 60 + [1.0] * 20
