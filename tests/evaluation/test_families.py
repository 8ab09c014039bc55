"""Families of competitions: a blend either is whole, or is refused with its code and writes nothing."""

from __future__ import annotations

import csv
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.errors import InvalidError, KitWarning
from kit.evaluation import bootstrap
from kit.kinds import Ensembler
from kit.kinds.registry import locations
from kit.stages.blending.blend import Submitted, diversity
from tests.blends import submit_blend
from tests.drawn_families import Family, File, write_family

STOCK = sorted(
    name
    for name, sources in locations("ensembler", None).items()
    if sources[0].source == "kit" and Ensembler.open(name).takes_labels("class_index")
)
FAMILIES = st.builds(
    Family,
    seed=st.integers(0, 10**6),
    members=st.integers(1, 4),
    classes=st.integers(3, 5),
    rows=st.integers(15, 36),
    folds=st.integers(1, 4),
    equal=st.booleans(),
    absent=st.booleans(),
    grouped=st.booleans(),
    metric=st.sampled_from(["macro_f1", "accuracy", "log_loss", "auc"]),
)


@pytest.fixture(autouse=True, scope="module")
def _few_draws() -> Iterator[None]:
    """What is asked here does not hang on how narrow an interval is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "MIN_DRAWS", 20)
        patch.setattr(bootstrap, "MAX_DRAWS", 20)
        yield


DEAR = {"auto", "stacking"}  # a few of these cost as much as all the others
NEED_OPTIONS = {"assignment", "unknown_class"}  # columns of a group, and a class of the table


def blended(
    root: Path, family: Family, ensembler: str, change: Callable[..., None] | None = None
) -> Submitted:
    workspace, files = write_family(root, family)
    if change is not None:
        change(files)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        return submit_blend(workspace, [f"m{number}" for number in range(family.members)], ensembler)


def cells(submitted: Submitted) -> dict[str, str]:
    with submitted.path.open() as file:
        return {row["id"]: row["label"] for row in csv.DictReader(file)}


@given(family=FAMILIES, ensembler=st.sampled_from(sorted(set(STOCK) - DEAR - NEED_OPTIONS)))
@settings(max_examples=20, deadline=None)
def test_a_good_family_is_blended_whole_whatever_the_ensembler(family: Family, ensembler: str) -> None:
    check_whole(family, ensembler)


@pytest.mark.parametrize("ensembler", sorted(DEAR))
def test_so_is_one_with_a_dear_ensembler(ensembler: str) -> None:
    check_whole(Family(members=3, absent=True, grouped=True), ensembler)


def check_whole(family: Family, ensembler: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        submitted = blended(Path(folder), family, ensembler)
        assert list(cells(submitted)) == ["007", "1e5", "NA", "a,b"]
        assert set(cells(submitted).values()) <= {f"c{number}" for number in range(family.classes)}
        for score in (*submitted.scores, submitted.comparison.mean):
            assert np.isfinite([score.cv, score.in_sample]).all()
            assert all(value is None or np.isfinite(value) for value in score.folds.values())
            for gain in score.gains:
                assert gain.low is None or gain.high is None or gain.low <= gain.high
        record = json.loads(submitted.record.read_text())
        assert record["ensembler"]["name"] == ensembler
        if family.equal or family.members == 1:
            assert not any(gain.is_significant for gain in submitted.comparison.members[0].gains)


@given(family=FAMILIES, ensembler=st.sampled_from(["mean", "geometric", "vote", "hill_climb", "simplex"]))
@settings(max_examples=8, deadline=None)
def test_the_order_of_rows_in_the_files_changes_nothing(family: Family, ensembler: str) -> None:
    def turn(files: list[tuple[File, File]]) -> None:
        for number, (oof, test) in enumerate(files):
            oof.turned(number)
            test.turned(number + 7)

    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        straight, turned = (
            blended(Path(one), family, ensembler),
            blended(Path(other), family, ensembler, turn),
        )
        assert cells(straight) == cells(turned)
        assert [score.cv for score in straight.scores] == [score.cv for score in turned.scores]


@given(family=FAMILIES, ensembler=st.sampled_from(["mean", "geometric", "power", "rank", "vote", "weighted"]))
@settings(max_examples=8, deadline=None)
def test_all_members_equal_is_one_member(family: Family, ensembler: str) -> None:
    from dataclasses import replace

    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        alone = blended(Path(one), replace(family, members=1), ensembler)
        many = blended(Path(other), replace(family, members=3, equal=True), ensembler)
        if family.metric != "auc":  # ties of ranks
            assert many.comparison.members[2].cv == alone.comparison.members[0].cv
        assert many.cv == pytest.approx(alone.cv)


def value(wrong: float) -> Callable[[File], dict[str, Any]]:
    def change(file: File) -> dict[str, Any]:
        worse = file.probabilities.copy()
        worse[len(worse) // 2, 1] = wrong
        return {"probabilities": worse}

    return change


FAULTS: dict[str, tuple[str, Callable[[File], dict[str, Any]]]] = {
    "nan": ("D40", value(float("nan"))),
    "infinite": ("D40", value(float("inf"))),
    "negative": ("D40", value(-0.5)),
    "sum": ("D40", value(1.5)),
    "scaled": ("D40", lambda file: {"probabilities": file.probabilities * 1.1}),
    "a column less": (
        "D40",
        lambda file: {"classes": file.classes[:-1], "probabilities": file.probabilities},
    ),
    "twice": (
        "D41",
        lambda file: {
            name: np.concatenate([getattr(file, name), getattr(file, name)[:1]])
            for name in ("ids", "folds", "probabilities")
        },
    ),
    "other classes": ("D42", lambda file: {"classes": ("x", *file.classes[1:])}),
    "other order of classes": ("D42", lambda file: {"classes": file.classes[::-1]}),
}


@given(family=FAMILIES, fault=st.sampled_from(sorted(FAULTS)), data=st.data())
@settings(max_examples=20, deadline=None)
def test_a_fault_in_any_file_is_refused_and_nothing_is_written(
    family: Family, fault: str, data: st.DataObject
) -> None:
    member, which = data.draw(st.integers(0, family.members - 1)), data.draw(st.integers(0, 1))
    code, change = FAULTS[fault]

    def spoil(files: list[tuple[File, File]]) -> None:
        file = files[member][which]
        changes = change(file)
        if fault == "a column less":
            changes["probabilities"] = changes["probabilities"][:, :-1]
        file.write(**changes)

    check_refused(family, code, spoil)


def check_refused(family: Family, code: str, spoil: Callable[[list[tuple[File, File]]], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with pytest.raises(InvalidError) as caught:
            blended(Path(folder), family, "hill_climb", spoil)
        assert caught.value.code == code, str(caught.value)
        assert caught.value.exit_code == 4
        assert not (Path(folder) / "submissions").exists()


LEAKS: dict[str, Callable[[File], dict[str, Any]]] = {
    "another fold's model": lambda file: {"folds": (file.folds + 1) % (file.folds.max() + 1)},
    "a mean over folds": lambda file: {"folds": np.full(len(file.folds), -1)},
    "rows of no fold": lambda file: {"ids": np.array([f"x{name}" for name in file.ids])},
    "folds that changed": lambda file: {"about": {**file.about, "folds": "0" * 64}},
}


@given(family=FAMILIES.filter(lambda one: one.folds > 1), leak=st.sampled_from(sorted(LEAKS)), data=st.data())
@settings(max_examples=12, deadline=None)
def test_a_leaked_fold_is_refused_in_any_member(family: Family, leak: str, data: st.DataObject) -> None:
    member = data.draw(st.integers(0, family.members - 1))

    def spoil(files: list[tuple[File, File]]) -> None:
        oof = files[member][0]
        oof.write(**LEAKS[leak](oof))

    check_refused(family, "D43", spoil)


@given(family=FAMILIES.filter(lambda one: one.members > 1), data=st.data())
@settings(max_examples=10, deadline=None)
def test_another_test_set_is_refused(family: Family, data: st.DataObject) -> None:
    member = data.draw(st.integers(0, family.members - 1))

    def spoil(files: list[tuple[File, File]]) -> None:
        test = files[member][1]
        test.write(ids=np.where(test.ids == "NA", "N/A", test.ids))

    check_refused(family, "D43", spoil)


def test_a_broken_file_is_refused() -> None:
    def spoil(files: list[tuple[File, File]]) -> None:
        path = files[1][0].path
        path.write_bytes(path.read_bytes()[:-40])

    check_refused(Family(), "D40", spoil)


def test_members_of_other_folds_are_blended_by_the_folds_of_the_first(tmp_path: Path) -> None:
    from kit.data.folds import Folds

    workspace, files = write_family(tmp_path, Family(rows=24, folds=3))
    oof, _ = files[1]
    folds = np.arange(24) % 4
    other = Folds(oof.ids, folds[:, None])
    other.write(tmp_path / "runs" / "m1" / "folds.csv")
    oof.write(folds=folds, about={**oof.about, "folds": other.fingerprint()})
    submitted = submit_blend(workspace, ["m0", "m1"], "hill_climb")
    assert sorted(submitted.comparison.blend.folds) == [0, 1, 2]
    assert sorted(submit_blend(workspace, ["m1", "m0"], "hill_climb").comparison.blend.folds) == [0, 1, 2, 3]


def test_a_metric_without_a_score_in_a_fold_leaves_that_cell_open(tmp_path: Path) -> None:
    """AUC where a fold has rows of one class alone; the pooled score and the nested one are there."""
    workspace, files = write_family(tmp_path, Family(classes=2, rows=20, folds=2, metric="auc"))
    from kit.data.folds import Folds

    table = (tmp_path / "data" / "train.csv").read_text().splitlines()[1:]
    folds = np.array([int(line.split(",")[1] == "c1") for line in table])
    assignment = Folds(files[0][0].ids, folds[:, None])
    for place, (oof, _) in enumerate(files):
        assignment.write(tmp_path / "runs" / f"m{place}" / "folds.csv")
        oof.write(folds=folds, about={**oof.about, "folds": assignment.fingerprint()})
    submitted = submit_blend(workspace, ["m0", "m1"])
    assert submitted.comparison.blend.folds == {0: None, 1: None}
    assert np.isfinite(submitted.cv)
    climbed = submit_blend(workspace, ["m0", "m1"], "hill_climb")  # on a fold's rows of one class by log loss
    assert np.isfinite(climbed.cv)
    assert climbed.comparison.blend.folds == {0: None, 1: None}


@given(family=FAMILIES)
@settings(max_examples=10, deadline=None)
def test_diversity_is_finite_and_symmetric(family: Family) -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace, _ = write_family(Path(folder), family)
        result = diversity(workspace, [f"m{number}" for number in range(family.members)])
        for matrix in (result.correlation, result.overlap):
            assert np.isfinite(matrix).all()
            np.testing.assert_allclose(matrix, matrix.T)
            assert (matrix.diagonal() == 1).all()
        assert len(result.gains) == (family.members if family.members > 1 else 0)
