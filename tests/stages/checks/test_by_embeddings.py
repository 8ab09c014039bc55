"""What networks see: copies that pixels do not show, and test rows that differ from rows they did not learn."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kit.config.workspace import Workspace
from kit.data import embeddings
from kit.data.folds import Folds
from kit.data.table import Table
from kit.stages.checks import by_embeddings
from kit.stages.checks.by_embeddings import RowContext, check_by_run
from kit.stages.checks.check import run_checks
from kit.stages.checks.finding import Finding
from tests.conftest import Kit

ROWS, TESTS, FEATURES = 300, 120, 24


PROVENANCE = embeddings.EmbeddingProvenance("r", "plain", "mean", ("cat", "dog"), {}, "folds")


def rows(letter: str, count: int) -> Table:
    ids = np.array([f"{letter}{row:03d}" for row in range(count)])
    return Table(ids, [Path(name) for name in ids.tolist()])


def write(folder: Path, train: np.ndarray, test: np.ndarray) -> None:
    """A fold's embeddings of these vectors, brought to length 1."""
    folder.mkdir(parents=True)
    parts: tuple[tuple[embeddings.Split, str, np.ndarray], ...] = (("train", "r", train), ("test", "t", test))
    for split, letter, vectors in parts:
        filled = embeddings.create_memmap(folder, split, rows(letter, len(vectors)).ids, FEATURES)
        filled[:] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        if isinstance(filled, np.memmap):
            filled.flush()
    embeddings.write_manifest(folder, PROVENANCE)


def network_findings(
    root: Path, by_fold: list[tuple[np.ndarray, np.ndarray]], pairs: list[list[int]]
) -> dict[str, Finding]:
    for fold, vectors in enumerate(by_fold):
        write(root / str(fold), *vectors)
    train, test = rows("r", ROWS), rows("t", TESTS)
    folds = Folds(train.ids, (np.arange(ROWS) % 2)[:, None])
    units = np.arange(ROWS + TESTS)
    looked = RowContext(train, test, folds, np.array(pairs, np.int64).reshape(-1, 2), units)
    parts = {fold: root / str(fold) for fold in range(len(by_fold))}
    return {one.code: one for one in check_by_run("runs/r@plain", parts, looked)}


def drawn(seed: int, learnt: float = 0.0, shift: float = 0.0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two networks' vectors; `learnt` moves the rows a network was trained on, `shift` the test rows."""
    rng = np.random.default_rng(seed)
    networks = []
    for fold in range(2):
        train = rng.normal(size=(ROWS, FEATURES))
        train[np.arange(ROWS) % 2 != fold, 0] += learnt
        test = rng.normal(size=(TESTS, FEATURES))
        test[:, 1] += shift
        networks.append((train, test))
    return networks


def reference_auc(fold: int, train: np.ndarray, test: np.ndarray) -> float:
    """scikit-learn's cross-validation of the rows that a fold holds out against its half of the test rows."""
    held, share = train[np.arange(ROWS) % 2 == fold], test[fold::2]
    vectors = np.concatenate([held, share])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    is_test = np.arange(len(vectors)) >= len(held)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
    aucs = []
    for seed in range(5):
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        predicted = cross_val_predict(model, vectors, is_test, cv=folds, method="predict_proba")[:, 1]
        aucs.append(roc_auc_score(is_test, predicted))
    return float(np.mean(aucs))


def test_other_rows_that_are_one_are_no_finding(tmp_path: Path) -> None:
    assert network_findings(tmp_path, drawn(0), []) == {}


def test_rows_that_a_network_has_learnt_do_not_make_test_rows_other(tmp_path: Path) -> None:
    assert "K15" not in network_findings(tmp_path, drawn(1, learnt=4.0), [])


def test_test_rows_that_networks_see_differently_are_reported(tmp_path: Path) -> None:
    networks = drawn(2, shift=2.0)
    finding = network_findings(tmp_path, networks, [])["K15"]
    auc, low, high = (float(number) for number in re.findall(r"\b\d\.\d{3}\b", finding.summary))
    assert auc == pytest.approx(
        np.mean([reference_auc(fold, *vectors) for fold, vectors in enumerate(networks)]), abs=0.02
    )
    assert 0.6 < low < auc < high <= 1
    assert {case.split for case in finding.cases} == {"train", "test"}


def test_copies_that_networks_see_are_reported_but_for_those_that_are_known(tmp_path: Path) -> None:
    networks, rng = drawn(3), np.random.default_rng(9)
    for train, test in networks:
        for one, other in ((10, 21), (40, 51), (60, 62)):  # the last two are in one fold, and flatter nothing
            train[other] = train[one] + 0.02 * rng.normal(size=FEATURES)
        test[7] = train[5]
    finding = network_findings(tmp_path, networks, [[40, 51]])["K16"]
    assert {str(case) for case in finding.cases} == {"r010 = r021", "r005 = t007"}
    assert finding.summary.startswith(
        "2 pairs of images have similar features in runs/r@plain but different pixels; 1 of them"
    )
    assert "up to 0.7% of the rows" in finding.effect  # two of 300


@pytest.fixture
def workspace(space: Path) -> Workspace:
    return Workspace.open(space)


def test_check_embeds_by_the_checkpoints_that_are_named(workspace: Workspace, kit: Kit) -> None:
    """By the folds that the run was trained with, here two, whatever the config would make now."""
    status, out, _ = kit("check", "--checkpoints", "runs/a", "--json", "splitter.folds=5")
    assert status in (0, 3)
    assert json.loads(out)["train"] == 60
    assert (workspace.runs / "a/embeddings/plain/0/train.npy").is_file()


def test_a_networks_rows_are_those_that_its_own_run_held_out(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared_folds: list[Folds] = []

    def check(member: str, parts: Mapping[int, Path], looked: RowContext) -> Iterator[Finding]:
        compared_folds.append(looked.folds)
        return iter(())

    monkeypatch.setattr(by_embeddings, "check_by_run", check)
    run_checks(Workspace.open(workspace.root, ["splitter.folds=5"]), (), ["runs/a"])
    assert [folds.count for folds in compared_folds] == [2]
