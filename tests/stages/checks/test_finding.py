"""Answers and hints about folds and rare classes: they open, they help, and they never repeat what is set."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.config.models import Experiment
from kit.config.overrides import apply_overrides
from kit.config.workspace import Workspace
from kit.data.folds import make_folds
from kit.data.table import Table
from kit.errors import DataError, KitWarning
from kit.kinds import Loss, Sampler, Splitter
from kit.kinds.advice import keep_whole, weigh_rare
from kit.kinds.targets import MULTI_HOT, ONE_CLASS
from kit.stages.checks.check import run_checks
from kit.stages.checks.copies import check_copies_across_folds
from kit.stages.checks.labels import check_class_counts
from tests.advice_texts import Text
from tests.advised import faults
from tests.drawing import draw_competition


def table(labels: str | list[list[int]], groups: str = "") -> Table:
    """A table with a row a letter (or a multi-hot row), whose groups are letters too."""
    known = sorted(set(labels)) if isinstance(labels, str) else ["a", "b"]
    numbers = np.array([known.index(one) for one in labels]) if isinstance(labels, str) else np.array(labels)
    ids = np.array([f"{row:03d}" for row in range(len(labels))])
    group_array = np.array(list(groups)) if groups else None
    target = ONE_CLASS if numbers.ndim == 1 else MULTI_HOT
    return Table(
        ids, tuple(Path("no") / name for name in ids), tuple(known), numbers, group_array, target=target
    )


def experiment(*pairs: str) -> Experiment:
    return Experiment.model_validate(apply_overrides({}, pairs))


def opened(*pairs: str) -> Splitter:
    return experiment(*pairs).open(Splitter)


# ------------------------------------------------------------------------------------------ rare classes


@pytest.mark.parametrize(
    ("pairs", "labels", "answer"),
    [
        ((), "class_index", "sampler=balanced, or loss=class_weighted"),
        (("sampler=balanced",), "class_index", "loss=class_weighted"),
        (("sampler=oversample",), "class_index", "loss=class_weighted"),
        (("loss=class_weighted",), "class_index", "sampler=balanced"),
        (("loss=focal",), "class_index", "sampler=balanced, or loss=class_weighted loss.base=focal"),
        (("loss=cutmix",), "class_index", "sampler=balanced, or loss.base=class_weighted"),
        (
            ("loss=mixup", "loss.base=focal"),
            "class_index",
            "sampler=balanced, or loss.base=class_weighted loss.base.base=focal",
        ),
        (("loss=cutmix", "loss.base=class_weighted"), "class_index", "sampler=balanced"),
        (("loss=bce",), "multi_hot", "sampler=repeat_factor, or loss=asymmetric"),
        (("loss=asymmetric",), "multi_hot", "sampler=repeat_factor"),
    ],
)
def test_rare_classes_are_answered_by_what_is_not_set(
    pairs: tuple[str, ...], labels: Any, answer: str
) -> None:
    config = experiment(*pairs)
    assert weigh_rare(config.sampler, config.loss, labels) == answer
    for one in answer.split(", or "):  # each is taken by the config that it is for
        raw = apply_overrides(apply_overrides({}, pairs), one.split())
        after = Experiment.model_validate(raw)
        for base in (Sampler, Loss):
            assert after.open(base).takes_labels(labels)
        assert (after.sampler, after.loss) != (config.sampler, config.loss)


def test_nothing_is_advised_where_all_is_set() -> None:
    config = experiment("sampler=balanced", "loss=class_weighted")
    assert weigh_rare(config.sampler, config.loss, "class_index").startswith("nothing: ")


# ------------------------------------------------------------------------------------------ folds


def answered(rows: Table, *pairs: str) -> str:
    """K08's answer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        folds = make_folds(rows, opened(*pairs), 0)
    findings = {one.code: one for one in check_class_counts(rows, folds, opened(*pairs), experiment(*pairs))}
    return findings["K08"].fix if "K08" in findings else ""


@pytest.mark.parametrize(
    ("rows", "pairs", "answer"),
    [
        (table("a" * 30 + "bbb"), ("splitter.folds=5",), "splitter.folds=3"),
        (
            table("a" * 30 + "bb"),
            ("splitter=kfold", "splitter.folds=5"),
            "splitter=stratified_kfold, or splitter.folds=2",
        ),
        (
            table("a" * 30 + "b"),
            (),
            "add rows of these classes, of which one has a single row, or use data.label_from.rename to merge it",
        ),
        (
            table("a" * 30 + "bbb"),
            ("splitter=repeated", "splitter.base.folds=4"),
            "splitter.base.folds=3",
        ),
        (
            table("aabb" * 6, "ccddeeffgghh" * 2),
            ("splitter=group_kfold", "splitter.folds=6"),
            "splitter=stratified_group_kfold, or splitter.folds=3",
        ),
        (table([[1, 0]] * 30 + [[0, 1]] * 3), ("splitter=multilabel_stratified_kfold",), "splitter.folds=3"),
    ],
)
def test_folds_without_a_class_are_answered_by_what_helps(
    rows: Table, pairs: tuple[str, ...], answer: str
) -> None:
    assert answered(rows, *pairs) == answer
    if answer.startswith("splitter.") and ", or " not in answer:
        assert answered(rows, *pairs, answer) == ""


@pytest.mark.parametrize(
    ("rows", "pairs"),
    [
        (table("aaabb"), ()),
        (table("aaabb"), ("splitter=holdout",)),
        (table("aaabb"), ("splitter=repeated",)),
        (table("abc"), ("splitter=kfold",)),
        (table("ab" * 9, "xyz" * 6), ("splitter=group_kfold",)),
        (table("ab" * 12, "xyz" * 8), ("splitter=holdout", "splitter.holdout_fraction=0.1")),
        (table("ab" * 9, "xyz" * 6), ("splitter=stratified_group_kfold", "splitter.folds=4")),
    ],
)
def test_the_hint_for_too_few_rows_or_groups_works(rows: Table, pairs: tuple[str, ...]) -> None:
    with pytest.raises(DataError) as caught:
        make_folds(rows, opened(*pairs), 0)
    advised = caught.value.hint.partition(", or ")[0]
    assert "=" in advised
    assert advised not in pairs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        assert make_folds(rows, opened(*pairs, advised), 0).count >= 1


@pytest.mark.parametrize("rows", [table("abcde"), table("a")])
@pytest.mark.parametrize("splitter", ["stratified_kfold", "kfold", "holdout"])
def test_no_number_of_folds_is_advised_where_none_helps(rows: Table, splitter: str) -> None:
    if splitter == "kfold" and len(rows) == 5:
        return
    with pytest.raises(DataError) as caught:
        make_folds(
            rows, opened(f"splitter={splitter}", *(["splitter.folds=2"] if splitter != "holdout" else [])), 0
        )
    assert "splitter.folds" not in caught.value.hint
    assert "splitter=all_rows" in caught.value.hint
    assert make_folds(rows, opened("splitter=all_rows"), 0).count == 1


def test_one_group_asks_for_another() -> None:
    with pytest.raises(DataError, match="another data.group") as caught:
        make_folds(table("ab" * 9, "x" * 18), opened("splitter=group_kfold", "splitter.folds=2"), 0)
    assert "folds=" not in caught.value.hint


@pytest.mark.parametrize(
    ("group", "other_group", "pairs", "labels", "answer"),
    [
        ("auto", None, (), "class_index", "data.group=auto splitter=stratified_group_kfold"),
        ("auto", None, ("splitter=group_kfold",), "class_index", "data.group=auto"),
        ("scene", "scene", (), "class_index", "splitter=stratified_group_kfold"),
        (
            "auto",
            None,
            ("splitter=kfold",),
            "multi_hot",
            "data.group=auto splitter=multilabel_stratified_kfold",
        ),
        (
            "auto",
            None,
            ("splitter=repeated",),
            "class_index",
            "data.group=auto splitter.base=stratified_group_kfold",
        ),
        ("auto", "auto", ("splitter=time",), "class_index", ""),
    ],
)
def test_keeping_groups_whole_names_what_is_not_set(
    group: str, other_group: str | None, pairs: tuple[str, ...], labels: Any, answer: str
) -> None:
    assert keep_whole(group, other_group, opened(*pairs), labels) == answer
    assert faults(Text("answer", answer)) == []


@pytest.mark.parametrize(
    ("group", "words"),
    [
        (None, "data.group=auto splitter=stratified_group_kfold"),
        ("auto", "delete groups.csv; kit check creates it again"),
        ("person", "give the rows of a pair the same value of data.group (person)"),
    ],
)
def test_copies_across_folds_are_answered_by_the_groups_that_are_set(group: str | None, words: str) -> None:
    rows = table("ab" * 10, "xy" * 10 if group else "")
    splitter = opened("splitter=group_kfold" if group else "splitter=kfold", "splitter.folds=2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        folds = make_folds(rows, splitter, 0)
    pairs = np.array([[int(np.flatnonzero(folds.oof_mask(0))[0]), int(np.flatnonzero(folds.oof_mask(1))[0])]])
    (finding,) = check_copies_across_folds(rows, pairs, folds, splitter, group)
    assert finding.fix.startswith(words)


# ------------------------------------------------------------------------------------------ files


def test_images_of_no_row_are_answered_by_the_split_that_they_lie_in(tmp_path: Path) -> None:
    root = draw_competition(tmp_path, train=30, test=6)
    images = root / "data" / "images"
    (root / "data" / "test").mkdir()
    for number in range(30, 36):
        (images / f"{number:03d}.png").rename(root / "data" / "test" / f"{number:03d}.png")
    space = Workspace.of(root, ["data.test_images=data/test/{id}"])

    def finding_of() -> Any:
        return {one.code: one for one in run_checks(space).findings}["K02"]

    (root / "data" / "test" / "more.png").write_bytes((images / "000.png").read_bytes())
    assert [case.split for case in finding_of().cases] == ["test"]
    assert "data.train" not in finding_of().fix
    assert "data.sample" in finding_of().fix
    (images / "more.png").write_bytes((images / "000.png").read_bytes())
    assert [case.split for case in finding_of().cases] == ["train", "test"]
    assert "data.train" in finding_of().fix
    (root / "data" / "test" / "more.png").unlink()
    assert "data.sample" not in finding_of().fix


@pytest.mark.parametrize(
    ("pairs", "effect", "answer"),
    [
        (
            (),
            "kit train refuses them, kit tta refuses them",
            "repair them; or data.on_unreadable_train=skip; or data.on_unreadable_test=class_prior",
        ),
        (
            ("data.on_unreadable_train=skip",),
            "1 of train are excluded from training, kit tta refuses them",
            "repair them; or data.on_unreadable_test=class_prior",
        ),
        (
            ("data.on_unreadable_train=skip", "data.on_unreadable_test=class_prior"),
            "1 of train are excluded from training, 1 of test are predicted as the class prior",
            "repair them",
        ),
    ],
)
def test_unusable_images_are_answered_by_what_is_not_set(
    pairs: tuple[str, ...], effect: str, answer: str, tmp_path: Path
) -> None:
    root = draw_competition(tmp_path, train=30, test=6)
    for name in ("004", "031"):
        (root / "data" / "images" / f"{name}.png").write_bytes(b"")
    finding = {one.code: one for one in run_checks(Workspace.of(root, pairs)).findings}["K01"]
    assert (finding.effect, finding.fix) == (effect, answer)
