"""Folds: no group and no duplicate is torn, and what is rare is said."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.core.randomness import generator
from kit.data import folds
from kit.data.folds import Folds, make_folds
from kit.data.table import Table
from kit.errors import ConfigError, DataError, KitWarning, PluginError
from kit.kinds import Splitter
from kit.kinds.targets import NUMBERS
from kit.plugins.splitter.group_kfold import GroupKfold
from kit.plugins.splitter.holdout import Holdout
from kit.plugins.splitter.kfold import Kfold
from kit.plugins.splitter.stratified_group_kfold import StratifiedGroupKfold, even_out_groups
from kit.plugins.splitter.stratified_kfold import StratifiedKfold


def table(
    labels: Sequence[int],
    groups: Sequence[str] | None = None,
    contents: Sequence[bytes] = (),
    folder: Path | None = None,
) -> Table:
    """Rows r000, r001 ...; with `contents`, each has a file in `folder`."""
    ids = [f"r{row:03d}" for row in range(len(labels))]
    paths = tuple((folder or Path("nowhere")) / f"{name}.jpg" for name in ids)
    for path, content in zip(paths, contents, strict=False):
        path.write_bytes(content)
    return Table(
        np.array(ids),
        paths,
        classes=tuple(f"c{number}" for number in range(max(labels) + 1)),
        labels=np.array(labels),
        groups=None if groups is None else np.array(groups),
    )


def test_each_row_is_held_out_once_by_k_folds() -> None:
    folds = make_folds(table([0, 1] * 10), StratifiedKfold(folds=4), 0)
    assert folds.count == 4
    assert np.sum([folds.oof_mask(fold) for fold in range(4)], axis=0).tolist() == [1] * 20
    for fold in range(4):
        assert (folds.training_mask(StratifiedKfold(), fold) == ~folds.oof_mask(fold)).all()


def test_stratified_folds_have_every_class_in_its_share() -> None:
    rows = table([0] * 40 + [1] * 20)
    folds = make_folds(rows, StratifiedKfold(folds=5), 3)
    for fold in range(5):
        assert rows.take(folds.oof_mask(fold)).counts().tolist() == [8, 4]


def test_holdout_holds_out_its_share_of_every_class() -> None:
    rows = table([0] * 40 + [1] * 20)
    folds = make_folds(rows, Holdout(holdout_fraction=0.3), 0)
    assert folds.count == 1
    assert rows.take(folds.oof_mask(0)).counts().tolist() == [12, 6]
    assert (folds.numbers == -1).sum() == 42


def test_holdout_keeps_groups_whole() -> None:
    rows = table([0, 1] * 50, groups=[f"g{row // 5}" for row in range(100)])
    for stratified in (True, False):
        held = make_folds(rows, Holdout(stratified=stratified), 0).oof_mask(0)
        assert held.reshape(20, 5).all(axis=1).sum() * 5 == held.sum() == 20


def test_other_seeds_give_other_folds() -> None:
    rows = table([0, 1] * 50)
    assert (
        make_folds(rows, StratifiedKfold(), 0).fingerprint()
        != make_folds(rows, StratifiedKfold(), 1).fingerprint()
    )


def test_a_splitter_that_tears_groups_is_refused_with_the_splitter_to_use() -> None:
    rows = table([0, 1] * 20, groups=[f"g{row // 5}" for row in range(40)])
    with pytest.raises(DataError, match="'kfold' separates 8 of 8 groups") as caught:
        make_folds(rows, Kfold(folds=4), 0)
    assert caught.value.code == "D34"
    assert len(caught.value.cases) == 8
    assert "group 'g" in str(caught.value)
    assert "splitter=stratified_group_kfold splitter.folds=4" in caught.value.hint


def test_groups_that_happen_to_be_whole_are_no_error() -> None:
    rows = table([0, 1] * 10, groups=[f"g{row}" for row in range(20)])
    assert make_folds(rows, StratifiedKfold(), 0).count == 5


def test_identical_images_share_a_fold_and_are_listed(tmp_path: Path) -> None:
    contents = [bytes([row // 2]) * 10 for row in range(40)]  # r000 = r001, r002 = r003 ...
    rows = table([0] * 40, contents=contents, folder=tmp_path)
    with pytest.warns(
        KitWarning,
        match=r"(?s)W01 40 training images are byte-for-byte copies of 20 files.*r000 = r001.*and 15 more",
    ):
        folds = make_folds(rows, Kfold(), 0)
    assert (folds.numbers[::2] == folds.numbers[1::2]).all()
    assert folds.count == 5


def test_identical_images_join_the_groups_they_are_in(tmp_path: Path) -> None:
    contents = [f"{row:03d}".encode() for row in range(20)]
    contents[0] = contents[19] = b"the same photo"
    rows = table([0] * 20, [f"g{row // 2}" for row in range(20)], contents, tmp_path)
    with pytest.warns(KitWarning, match="W01"):
        folds = make_folds(rows, GroupKfold(folds=3), 0)
    assert len(set(folds.numbers[[0, 1, 18, 19], 0])) == 1


def test_one_image_with_two_labels_is_reported(tmp_path: Path) -> None:
    rows = table([0, 1] + [0, 1] * 9, contents=[b"same", b"same"], folder=tmp_path)
    with pytest.warns(KitWarning) as caught:
        make_folds(rows, Kfold(folds=2), 0)
    assert any(
        "W02 1 images" in str(each.message) and "r000 (c0) = r001 (c1)" in str(each.message)
        for each in caught
    )


def test_images_in_train_and_test_are_reported(tmp_path: Path) -> None:
    rows = table([0, 0, 0], contents=[b"a", b"b", b"a"], folder=tmp_path)
    with pytest.warns(KitWarning, match="W01 1 images are in both train and test"):
        folds.warn_train_test_overlap(rows.take([0, 1]), rows.take([2]))
    folds.warn_train_test_overlap(rows.take([0]), rows.take([1]))


def test_files_of_equal_size_and_other_content_are_not_identical(tmp_path: Path) -> None:
    rows = table([0, 0, 0], contents=[b"ab", b"ba"], folder=tmp_path)
    assert len(set(folds.file_groups(rows.paths))) == 3


def test_rows_are_joined_through_others() -> None:
    joined = folds.merge_groups([1, 2, 2, 3, 4], ["a", "a", "b", "b", "c"])
    assert joined.tolist() == [0, 0, 0, 0, 4]
    assert folds.merge_groups([7, 8, 7]).tolist() == [0, 1, 0]


def test_a_group_splitter_without_groups_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"needs data\.group"):
        make_folds(table([0, 1] * 10), StratifiedGroupKfold(), 0)


def test_fewer_groups_than_folds_is_said_in_kits_words() -> None:
    rows = table([0, 1] * 10, groups=["a"] * 10 + ["b"] * 10)
    for splitter in (StratifiedGroupKfold(), GroupKfold(), Holdout()):
        with pytest.raises(DataError, match="2 groups cannot make 5 folds") as caught:
            make_folds(rows, splitter, 0)
        assert caught.value.code == "D33"


def test_fewer_rows_than_folds_is_said_in_kits_words() -> None:
    for splitter in (Kfold(), StratifiedKfold(), Holdout(stratified=False)):
        with pytest.raises(DataError, match="fewer than the 5 folds") as caught:
            make_folds(table([0, 0, 0]), splitter, 0)
        assert caught.value.code == "D35"


def test_a_rare_class_is_reported_and_scored_as_wrong() -> None:
    with pytest.warns(KitWarning) as caught:
        make_folds(table([0] * 20 + [1] * 2 + [2]), StratifiedKfold(), 0)
    texts = [str(each.message) for each in caught]
    assert any(text.startswith("W04") and "c1 2, c2 1" in text for text in texts)
    assert any(text.startswith("W06") and text.endswith(": c2") for text in texts)


def rare_classes(rows: Table, splitter: Splitter) -> list[str]:
    """What W04 and W06 say of the folds."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make_folds(rows, splitter, 0)
    return [text for each in caught if (text := str(each.message))[:3] in ("W04", "W06")]


def test_a_class_is_rare_if_it_has_fewer_rows_than_folds() -> None:
    assert rare_classes(table([0] * 8 + [1] * 2), StratifiedKfold(folds=2)) == []
    assert rare_classes(table([0] * 8 + [1] * 2), StratifiedKfold(folds=3)) == [
        "W04 1 classes have fewer rows than the 3 folds: c1 2"
    ]
    # a row of another source is never held out, so it does not count
    rows = replace(table([0] * 9 + [1] * 3), sources=np.array([""] * 9 + ["", "", "web"]))
    assert rare_classes(rows, StratifiedKfold(folds=3))[0].endswith("the 3 folds: c1 2")


def test_images_of_one_answer_are_one_row_of_their_class() -> None:
    rows = replace(table([0] * 8 + [1] * 8), answers=np.array([*"abcdefgh", *"iiiiiijk"]))
    assert rare_classes(rows, Kfold(folds=4))[0] == "W04 1 classes have fewer rows than the 4 folds: c1 3"


def test_a_class_without_rows_is_reported_if_it_is_not_the_unknown_one() -> None:
    rows = replace(table([0, 1] * 10), classes=("c0", "c1", "c2"))
    texts = rare_classes(rows, StratifiedKfold(folds=2))
    assert texts[0] == "W04 1 classes have fewer rows than the 2 folds: c2 0"
    assert [text[:10] for text in texts[1:]] == ["W06 fold 0", "W06 fold 1"]
    few = replace(table([0] * 19 + [1]), unknown_class="c1")  # with rows it is a class as others
    assert rare_classes(few, StratifiedKfold(folds=2))[0].endswith("the 2 folds: c1 1")


def test_a_fold_that_trains_on_one_number_is_named() -> None:
    values = np.stack([np.where(np.arange(20) > 10, np.arange(20), 3), np.arange(20)], axis=1).astype(float)
    frame = pd.DataFrame({"part": [str(int(row > 10)) for row in range(20)]})
    rows = replace(table([0, 1] * 10), labels=values, target=NUMBERS, frame=frame)
    with pytest.warns(KitWarning) as caught:
        make_folds(rows, Splitter.open({"name": "column", "column": "part"}), 0)
    assert [str(one.message) for one in caught if str(one.message).startswith("W89")] == [
        "W89 fold 1 has nothing to learn from some of its labels: all rows have the same number in column c0"
    ]


def test_the_unknown_class_needs_no_rows() -> None:
    rows = replace(table([0] * 20 + [1] * 2), classes=("c0", "c1", "new"), unknown_class="new")
    with pytest.warns(KitWarning) as caught:
        make_folds(rows, StratifiedKfold(), 0)
    texts = [str(each.message) for each in caught]
    assert [text for text in texts if text[:3] in ("W04", "W06")] == [
        "W04 1 classes have fewer rows than the 5 folds: c1 2"
    ]


class _Wrong(Splitter):
    """Answers with what a test gives it."""

    answer: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def plugin_name(cls) -> str:
        return "wrong"

    def split(self, table: Table, rng: np.random.Generator) -> np.ndarray:
        numbers = np.array(self.answer)
        return numbers if numbers.size and (numbers % 1).any() else numbers.astype(int)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (((0,), (1,)), "shape"),
        (((0.5,), (1,), (1,), (0,)), "type float64"),
        (((0,), (2,), (2,), (0,)), "fold numbers"),
        (((0, 0), (1, 1), (1, 1), (0, 0)), "each in one repeat"),
        (((-1,), (-1,), (-1,), (-1,)), "fold numbers"),
        (((-2,), (0,), (0,), (0,)), "fold numbers"),
    ],
)
def test_a_splitter_that_breaks_its_promise_is_named(
    answer: tuple[tuple[float, ...], ...], words: str
) -> None:
    with pytest.raises(PluginError, match="splitter 'wrong'") as caught:
        make_folds(table([0, 1, 0, 1]), _Wrong(answer=answer), 0)
    assert caught.value.code == "P07"
    assert words in caught.value.summary
    assert caught.value.hint == "kit plugins check plugins/splitter/wrong.py"


class _HoldsNothingOut(_Wrong):
    """Says that it holds no row out."""

    holds_out = False


def test_a_splitter_that_holds_nothing_out_keeps_its_word() -> None:
    rows = replace(table([0, 1, 0, 1]), classes=("c0", "c1", "c2"))
    answer = ((-1,), (-1,), (-1,), (-1,))
    with pytest.warns(KitWarning) as caught:
        assert make_folds(rows, _HoldsNothingOut(answer=answer), 0).count == 1
    assert [str(each.message)[:10] for each in caught] == ["W06 fold 0"]  # c2, and no number of folds
    with pytest.raises(PluginError, match="P07 .*holds rows out although its `holds_out` is False"):
        make_folds(rows, _HoldsNothingOut(answer=((0,), *answer[1:])), 0)


def test_folds_are_read_as_they_were_written(tmp_path: Path) -> None:
    for numbers in ([[0], [-1], [1]], [[0, 2], [1, 3], [0, 3]]):
        folds = Folds(np.array(["007", "1e5", 'NA, "x"']), np.array(numbers))
        folds.write(tmp_path / "folds.csv")
        read = Folds.read(tmp_path / "folds.csv")
        assert read.ids.tolist() == folds.ids.tolist()
        assert read.numbers.tolist() == numbers
        assert read.fingerprint() == folds.fingerprint()


@pytest.mark.parametrize("repeats", [1, 2])
def test_folds_with_rows_of_other_sources_are_read_as_they_were_written(repeats: int, tmp_path: Path) -> None:
    numbers, related = np.array([[0, 2], [1, 3], [-1, -1]]), np.array([[0, 2], [1, 3], [1, 2]])
    ids = np.array(["a", "b", "c"])
    folds = Folds(ids, numbers[:, :repeats], related[:, :repeats])
    folds.write(tmp_path / "folds.csv")
    read = Folds.read(tmp_path / "folds.csv")
    assert read.related is not None
    assert (read.numbers.tolist(), read.related.tolist()) == (
        numbers[:, :repeats].tolist(),
        related[:, :repeats].tolist(),
    )
    assert read.fingerprint() == folds.fingerprint() != Folds(ids, folds.numbers).fingerprint()


def test_folds_that_hold_no_row_out_are_one_model() -> None:
    assert Folds(np.array(["a", "b"]), np.array([[-1], [-1]])).count == 1


@pytest.mark.parametrize(
    "text",
    [
        "id,fold\na,x\n",
        "id\na\n",
        "name,fold\na,0\n",
        "id,fold\na,0\na,1\n",
        "id,fold\na,-2\n",
        f"id,fold\na,{10**20}\n",
    ],
)
def test_a_file_that_holds_no_folds_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "folds.csv").write_text(text)
    with pytest.raises(DataError, match="does not hold folds"):
        Folds.read(tmp_path / "folds.csv")


def imbalance(rows: Table, numbers: np.ndarray, folds: int) -> float:
    """Mean over folds and classes of how far a class's rows are from an equal share, in parts of that share."""
    fold_counts = np.zeros((folds, len(rows.classes)))
    assert rows.labels is not None
    np.add.at(fold_counts, (numbers, rows.labels), 1)
    return float(np.abs(fold_counts * folds / rows.counts() - 1).mean())


def sklearn_imbalance(rows: Table, seed: int) -> float:
    """What scikit-learn's own splitter makes of the rows."""
    from sklearn.model_selection import StratifiedGroupKFold

    numbers = np.zeros(len(rows), int)
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    for fold, (_, held) in enumerate(splitter.split(rows.labels, rows.labels, rows.groups)):
        numbers[held] = fold
    return imbalance(rows, numbers, 5)


@pytest.mark.parametrize(("mixed", "at_most"), [(False, 1.0), (True, 0.9)])
def test_stratified_groups_are_balanced_as_sklearn_does_or_better(mixed: bool, at_most: float) -> None:
    ours, theirs = [], []
    for seed in range(6):
        rng = generator(seed, "test")
        sizes = rng.integers(1, 12, 60)
        labels = np.repeat(rng.choice(5, 60, p=[0.4, 0.3, 0.15, 0.1, 0.05]), sizes)
        if mixed:
            labels = np.where(rng.random(len(labels)) < 0.5, labels, rng.integers(5, size=len(labels)))
        rows = table(labels.tolist(), np.repeat(np.arange(60), sizes).astype(str).tolist())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", KitWarning)
            numbers = make_folds(rows, StratifiedGroupKfold(), seed).numbers[:, 0]
        ours.append(imbalance(rows, numbers, 5))
        theirs.append(sklearn_imbalance(rows, seed))
    assert np.mean(ours) <= at_most * np.mean(theirs) + 1e-9


def test_evening_out_moves_a_group_to_where_it_is_needed() -> None:
    shares = np.array([[1.0, 0], [0, 1], [1, 0], [0, 1]])
    moved = even_out_groups(shares, np.array([0, 0, 0, 1]), 2, generator(0, "test"))
    assert sorted(moved[[0, 2]]) == [0, 1]
    assert sorted(moved[[1, 3]]) == [0, 1]


def test_evening_out_never_empties_a_fold() -> None:
    moved = even_out_groups(np.array([[2.4], [0.3], [0.3]]), np.array([0, 1, 2]), 3, generator(0, "test"))
    assert sorted(moved) == [0, 1, 2]
