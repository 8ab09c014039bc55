"""Rows are dealt as scikit-learn deals them, to the row, and dealing does not import it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.model_selection import KFold, StratifiedKFold

from kit.plugins.splitter._assignment import assign_by_class, assign_to_folds


@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1])
@pytest.mark.parametrize(("rows", "folds"), [(10, 2), (23, 5), (101, 20), (2000, 3)])
def test_folds_are_scikit_learns(rows: int, folds: int, seed: int) -> None:
    labels = np.random.default_rng(seed).choice(np.array(["d", "b", "a", "c"]), rows, p=[0.1, 0.2, 0.3, 0.4])
    labels[:folds] = "a"  # at least one class has a row for each fold
    there = np.zeros(rows)
    for assignment, theirs in (
        (assign_to_folds(rows, folds, seed), KFold(folds, shuffle=True, random_state=seed)),
        (assign_by_class(labels, folds, seed), StratifiedKFold(folds, shuffle=True, random_state=seed)),
    ):
        assert assignment.shape == (rows, 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *texts, **more: None)  # of classes with few rows
            for fold, (_, held) in enumerate(theirs.split(there, labels)):
                assert np.flatnonzero(assignment[:, 0] == fold).tolist() == held.tolist()


@pytest.mark.parametrize("name", ["stratified_kfold", "kfold", "holdout"])
def test_dealing_does_not_import_scikit_learn(name: str) -> None:
    code = f"""
import sys, numpy as np
from types import SimpleNamespace
from kit.kinds import Splitter
class Table(SimpleNamespace):
    def __len__(self): return 30
    def counts(self): return np.array([10, 10, 10])
    def strata(self, folds): return self.labels
table = Table(labels=np.array(list("abc") * 10), groups=None, is_multi_label=False)
Splitter.open({name!r}).split(table, np.random.default_rng(0))
print("sklearn" in sys.modules)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout == "False\n"
