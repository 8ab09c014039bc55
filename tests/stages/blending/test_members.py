"""Members are read by their names, and refused where they do not fit together or leak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.config.workspace import Workspace
from kit.data.predictions import Predictions
from kit.data.table import Table, train_table
from kit.errors import ConfigError, InvalidError
from kit.kinds import Ensembler
from kit.kinds.targets import MULTI_HOT
from kit.stages.blending.compatibility import check_together
from kit.stages.blending.members import (
    Member,
    OutOfFold,
    align,
    blend_test_rows,
    read_members,
    read_test_rows,
    row_clusters,
)
from tests.written_runs import CLASSES, FOLDS, TEST, answer_competition, competition, without_folds, write_run


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return competition(tmp_path)


def checked(workspace: Workspace, texts: Sequence[str]) -> tuple[Member, ...]:
    members = read_members(workspace, texts)
    check_together(members, train_table(workspace.root, workspace.competition.data))
    return members


def refusal(workspace: Workspace, **of_b: Any) -> InvalidError:
    """What is said about runs/a with a runs/b that was written otherwise."""
    write_run(workspace.root, "b", **of_b)
    with pytest.raises(InvalidError) as caught:
        checked(workspace, ["runs/a", "runs/b"])
    assert caught.value.exit_code == 4
    return caught.value


@pytest.mark.parametrize("text", ["runs/a@d4", "a@d4", "./runs/a/@d4"])
def test_a_member_is_a_run_and_its_views(text: str, workspace: Workspace) -> None:
    (member,) = checked(workspace, [text])
    assert str(member) == "a@d4"
    assert member.oof.provenance.views == "d4"


def test_a_run_alone_stands_for_its_plain_views(workspace: Workspace) -> None:
    assert [str(member) for member in checked(workspace, ["runs/a", "b"])] == ["a@plain", "b@plain"]


def test_a_whole_path_works_from_anywhere(workspace: Workspace) -> None:
    assert str(read_members(workspace, [f"{workspace.runs / 'a'}@d4"])[0]) == "a@d4"


def test_an_unknown_run_gets_the_nearest_name(workspace: Workspace) -> None:
    write_run(workspace.root, "resnet")
    with pytest.raises(ConfigError, match=r"C15 no run 'runs/resnte' in .*; did you mean 'resnet'\?"):
        read_members(workspace, ["runs/resnte"])


def test_a_folder_outside_runs_is_no_run(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="no run 'data'"):
        read_members(workspace, ["data"])


def test_a_run_named_twice_is_refused(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="a@plain is given twice"):
        read_members(workspace, ["runs/a", "a@plain"])


def test_no_members_is_an_error(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="no members to blend"):
        read_members(workspace, [])


def test_missing_predictions_name_the_command_that_makes_them(workspace: Workspace) -> None:
    with pytest.raises(InvalidError, match="D41 b has no predictions of views 'd4'") as caught:
        read_members(workspace, ["runs/b@d4"])
    assert caught.value.hint == "kit tta --checkpoints runs/b --views d4"
    assert len(caught.value.cases) == 2
    assert caught.value.exit_code == 4


def test_an_import_without_folds_is_read_only_on_request(workspace: Workspace) -> None:
    without_folds(workspace)
    with pytest.raises(InvalidError, match="D43 runs/b was imported without folds"):
        read_members(workspace, ["runs/b"])
    (member,) = read_members(workspace, ["runs/b"], allow_unverified=True)
    assert not member.is_verified
    assert len(member.oof) == 0
    assert member.test.ids.tolist() == [*TEST, *TEST]  # of both folds
    assert read_members(workspace, ["runs/a"])[0].is_verified


def test_without_folds_a_leak_cannot_be_ruled_out(workspace: Workspace) -> None:
    (workspace.runs / "b" / "folds.csv").unlink()
    with pytest.raises(InvalidError, match=r"D43 .*folds\.csv is missing"):
        read_members(workspace, ["runs/b"])


def test_another_order_of_classes_is_refused_and_both_are_printed(workspace: Workspace) -> None:
    error = refusal(workspace, classes=("bee", "ant", "cat"))
    assert (error.code, error.summary) == (
        "D42",
        "the classes of a@plain out of fold and of b@plain out of fold are in a different order",
    )
    assert [case.detail for case in error.cases] == ["ant, bee, cat", "bee, ant, cat"]


def test_other_classes_are_refused(workspace: Workspace) -> None:
    assert "differ" in refusal(workspace, classes=("ant", "bee", "dog")).summary


@pytest.mark.parametrize(("count", "ends"), [(30, "c28, c29"), (31, "c28, c29, … (31 in total)")])
def test_thirty_classes_are_listed_at_most(count: int, ends: str, workspace: Workspace) -> None:
    members = read_members(workspace, ["a"])
    classes = tuple(f"c{number}" for number in range(count))
    rows = replace(train_table(workspace.root, workspace.competition.data), classes=classes)
    with pytest.raises(InvalidError, match="D42") as caught:
        check_together(members, rows)
    assert caught.value.cases[1].detail.endswith(ends)


def test_labels_are_of_the_kind_of_the_training_table(workspace: Workspace) -> None:
    members = read_members(workspace, ["a"])
    rows = train_table(workspace.root, workspace.competition.data)
    with pytest.raises(InvalidError, match="D42 a@plain was trained for one label per row, but the training"):
        check_together(members, replace(rows, target=MULTI_HOT))


def test_classes_are_those_of_the_training_table(workspace: Workspace) -> None:
    for run in ("a", "b"):
        write_run(workspace.root, run, classes=("cat", "bee", "ant"))
    with pytest.raises(
        InvalidError, match="D42 the classes of a@plain out of fold and of the training table"
    ):
        checked(workspace, ["runs/a", "runs/b"])


def test_another_test_set_is_refused_with_its_ids(workspace: Workspace) -> None:
    error = refusal(workspace, test=[*TEST[:3], "x", "y"])
    assert error.code == "D43"
    assert "1 ids are only in the first, 2 only in the second" in error.summary
    assert [str(case) for case in error.cases] == [
        "a,b: only in a@plain",
        "x: only in b@plain",
        "y: only in b@plain",
    ]


def test_the_order_of_test_rows_does_not_matter(workspace: Workspace) -> None:
    write_run(workspace.root, "b", test=TEST[::-1])
    assert len(checked(workspace, ["runs/a", "runs/b"])) == 2


def test_a_row_predicted_by_a_fold_that_trained_on_it_is_a_leak(workspace: Workspace) -> None:
    swapped = [1, *FOLDS[1:]]
    error = refusal(workspace, oof_folds=swapped)
    assert error.code == "D43"
    assert "1 of 9 out-of-fold rows come from a model that may have trained on them" in error.summary
    assert str(error.cases[0]) == "t0: predicted by fold 1, which did not hold out this row"


def test_means_over_folds_are_no_out_of_fold_rows(workspace: Workspace) -> None:
    assert "9 of 9 out-of-fold rows" in refusal(workspace, oof_folds=[-1] * 9).summary


def test_folds_that_tear_a_group_are_a_leak(workspace: Workspace) -> None:
    error = refusal(workspace, folds=[0, 0, 1, 1, 1, 1, 2, 2, 2])
    assert error.code == "D43"
    assert "folds separate 1 of 3 groups" in error.summary
    assert str(error.cases[0]) == "p0: is in folds [0, 1]"


def test_folds_that_separate_the_images_of_an_answer_are_a_leak(workspace: Workspace) -> None:
    write_run(workspace.root, "b", folds=[0, 0, 1, 1, 1, 1, 2, 2, 2])
    rows = train_table(workspace.root, workspace.competition.data)
    rows = replace(rows, groups=None, answers=rows.groups)
    check_together(read_members(workspace, ["a"]), rows)
    with pytest.raises(InvalidError, match=r"D43 b@plain: folds separate 1 of 3 answers \(data.answer\)"):
        check_together(read_members(workspace, ["a", "b"]), rows)


def test_without_declared_groups_folds_are_free(tmp_path: Path) -> None:
    workspace = competition(tmp_path, data={"group": None})
    write_run(tmp_path, "b", folds=[0, 1, 2] * 3)
    assert len(checked(workspace, ["a", "b"])) == 2


def test_folds_that_changed_since_are_refused(workspace: Workspace) -> None:
    assert (
        "folds.csv was changed after b@plain was predicted"
        in refusal(workspace, about={"folds": "0" * 64}).summary
    )


def test_changed_folds_of_the_first_member_are_refused_too(workspace: Workspace) -> None:
    write_run(workspace.root, "a", about={"folds": "0" * 64})
    with pytest.raises(InvalidError, match=r"D43 runs/a/folds.csv was changed"):
        checked(workspace, ["a"])


def test_a_fold_may_predict_only_out_of_fold_rows_or_only_test_rows(workspace: Workspace) -> None:
    write_run(workspace.root, "b", about={"checkpoints": {"0": "0012:b", "1": "0011:b"}})
    assert len(checked(workspace, ["a", "b"])) == 2


def test_two_checkpoints_of_one_fold_are_refused(workspace: Workspace) -> None:
    error = refusal(workspace, about={"checkpoints": {"0": "0011:b"}})
    assert "different checkpoints" in error.summary
    assert error.cases[0].detail == "fold 0: 0011:b for out-of-fold rows, 0012:b for test rows"


def test_members_are_joined_by_id_on_the_rows_that_all_cover(workspace: Workspace) -> None:
    write_run(workspace.root, "b", rows=[8, 3, 1], sure=0.6)
    ids, oof = align(checked(workspace, ["a", "b"]), workspace.cache)
    assert ids.tolist() == ["t1", "t3", "t8"]
    assert oof.shape == (2, 3, len(CLASSES))
    assert oof[:, :, :].argmax(axis=2).tolist() == [[1, 0, 2], [1, 0, 2]]
    assert np.allclose(oof.max(axis=2), [[0.8] * 3, [0.6] * 3])


def test_members_without_a_common_row_are_refused(workspace: Workspace) -> None:
    write_run(workspace.root, "a", rows=[0, 1, 2])
    write_run(workspace.root, "b", rows=[3, 4])
    with pytest.raises(InvalidError, match="no row has out-of-fold predictions of all members") as caught:
        align(read_members(workspace, ["a", "b"]), workspace.cache)
    assert [str(case) for case in caught.value.cases] == ["a@plain: 3 rows", "b@plain: 2 rows"]


def table(paths: list[Path], groups: list[str] | None) -> Table:
    ids = np.array([f"{row}" for row in range(len(paths))])
    return Table(ids, paths, groups=None if groups is None else np.array(groups))


def same_part(clusters: np.ndarray | None) -> set[tuple[int, int]]:
    assert clusters is not None
    rows = range(len(clusters))
    return {
        (row, other) for row in rows for other in rows if row < other and clusters[row] == clusters[other]
    }


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Four images, of which the first and the last are the same byte for byte."""
    files = [tmp_path / f"{row}.png" for row in range(4)]
    for path, content in zip(files, (b"same", b"one", b"other", b"same"), strict=True):
        path.write_bytes(content)
    return files


def test_rows_of_one_fold_keep_copies_and_groups_together(paths: list[Path]) -> None:
    one = np.zeros(4, dtype=int)
    assert same_part(row_clusters(one, table(paths, None))) == {(0, 3)}
    assert same_part(row_clusters(one, table(paths, ["a", "b", "b", "c"]))) == {(0, 3), (1, 2)}
    # row 1 shares a group with row 0, whose copy is row 3
    assert same_part(row_clusters(one, table(paths, ["a", "a", "b", "c"]))) == {(0, 1), (0, 3), (1, 3)}


def test_two_folds_keep_groups_alone_and_no_image_is_read(tmp_path: Path) -> None:
    missing = [tmp_path / "nowhere.png"] * 4
    two = np.array([0, 1, 1, 0])
    assert row_clusters(two, table(missing, None)) is None
    assert same_part(row_clusters(two, table(missing, ["a", "b", "b", "c"]))) == {(1, 2)}


def test_answers_of_one_group_are_one_cluster() -> None:
    images = table([Path("nowhere")] * 6, list("ggghhh"))
    images = replace(images, answers=np.array(list("xxyyzz")))
    ids = np.array(["x", "y", "z"])
    rows = OutOfFold(("a",), ids, np.zeros((1, 3, 2)), np.array([0, 0, 1]), table([Path()] * 3, None), images)
    # y has an image of both groups, so all are linked
    assert same_part(rows.row_clusters()) == {(0, 1), (0, 2), (1, 2)}
    rows = replace(rows, images=replace(images, groups=np.array(list("gghhii"))))
    assert same_part(rows.row_clusters()) == set()


def test_test_rows_are_read_only_if_answers_or_columns_need_them(tmp_path: Path) -> None:
    mean, rule = Ensembler.open("mean"), Ensembler.open({"name": "assignment", "group": ["person"]})
    plain = competition(tmp_path / "plain")
    assert read_test_rows(plain, CLASSES, mean) is None
    with pytest.raises(ConfigError, match="C07 .*'person', and the test table has none"):
        read_test_rows(plain, CLASSES, rule)
    answers = answer_competition(tmp_path / "answers")
    for recipe in (mean, rule):
        rows = read_test_rows(answers, CLASSES, recipe)
        assert rows is not None
        assert rows.ids.tolist() == list(TEST)
        assert rows.answers is not None
        assert rows.answers.tolist() == ["x", "x", "y", "y"]


DOUBLED = {"name": "class_factors", "factors": [1, 1, 2]}


def test_factors_act_on_each_folds_model_before_the_mean(tmp_path: Path) -> None:
    members = read_members(competition(tmp_path), ["a"])
    predictions = blend_test_rows(members, Ensembler.open(DOUBLED), TEST)
    # row 1: fold 0 says .1 .8 .1, fold 1 says .1 .1 .8; the third class counts twice
    first, second = np.array([0.1, 0.8, 0.2]) / 1.1, np.array([0.1, 0.1, 1.6]) / 1.8
    assert predictions.probabilities[1] == pytest.approx((first + second) / 2)
    mean_first = np.array([0.1, 0.45, 0.9]) / 1.45
    assert abs(predictions.probabilities[1] - mean_first).max() > 0.01


def test_rows_are_found_by_id(tmp_path: Path) -> None:
    members = read_members(competition(tmp_path), ["a", "b"])
    predictions, turned = (
        blend_test_rows(members, Ensembler.open("mean"), ids) for ids in (TEST, TEST[::-1])
    )
    assert turned.ids.tolist() == list(TEST[::-1])
    assert (turned.probabilities == predictions.probabilities[::-1]).all()


def test_members_of_other_folds_than_one_another_are_blended_by_their_means(tmp_path: Path) -> None:
    workspace = competition(tmp_path)
    file = write_run(workspace.root, "b") / "predictions" / "plain" / "test.parquet"
    (b,) = read_members(workspace, ["b"])
    b.test.take(b.test.folds == 0).write(file)
    predictions = blend_test_rows(read_members(workspace, ["a", "b"]), Ensembler.open(DOUBLED), TEST)
    mean = (np.array([0.1, 0.45, 0.45]) + np.array([0.1, 0.8, 0.1])) / 2 * [1, 1, 2]
    assert predictions.probabilities[1] == pytest.approx(mean / mean.sum())


def test_three_folds_are_blended_one_by_one(tmp_path: Path) -> None:
    workspace = competition(tmp_path)
    file = workspace.runs / "a" / "predictions" / "plain" / "test.parquet"
    test = Predictions.read(file)
    third = replace(test.take(test.folds == 0), folds=np.full(len(TEST), 2))
    both = replace(
        test,
        ids=np.concatenate([test.ids, third.ids]),
        folds=np.concatenate([test.folds, third.folds]),
        probabilities=np.concatenate([test.probabilities, third.probabilities]),
    )
    both.write(file)
    (member,) = read_members(workspace, ["a"])
    blended = blend_test_rows([member], Ensembler.open("mean"), TEST)
    assert blended.probabilities[1] == pytest.approx([0.1, (0.8 + 0.1 + 0.8) / 3, (0.1 + 0.8 + 0.1) / 3])


RULE = {"name": "assignment", "group": ["plate"]}


def plates(answers: bool) -> Table:
    """The test rows: two plates, each with two images or answers of which the members predict one class."""
    frame = pd.DataFrame({"id": TEST, "plate": ["p", "q", "q", "p"]})
    rows = Table(np.array(TEST), [Path("nowhere")] * 4, CLASSES, frame=frame)
    return replace(rows, answers=np.array(["x", "y", "z", "x"])) if answers else rows


def test_a_rule_for_related_rows_acts_on_the_final_rows(tmp_path: Path) -> None:
    (member,) = read_members(competition(tmp_path), ["a"])
    free = blend_test_rows([member], Ensembler.open("mean"), TEST)
    assert free.probabilities.argmax(axis=1).tolist() == [0, 1, 1, 0]  # bee and cat are even: the first
    ruled = blend_test_rows([member], Ensembler.open(RULE), TEST, plates(answers=False))
    classes = ruled.probabilities.argmax(axis=1).tolist()
    assert sorted(classes[1:3]) == [1, 2]  # each class once in a plate
    assert classes[0] != classes[3]
    turned = blend_test_rows([member], Ensembler.open(RULE), TEST[::-1], plates(answers=False))
    assert sorted(turned.probabilities.argmax(axis=1)[1:3].tolist()) == [1, 2]


def test_an_answer_takes_part_once_in_a_rule_for_related_rows(tmp_path: Path) -> None:
    (member,) = read_members(competition(tmp_path), ["a"])
    ruled = blend_test_rows([member], Ensembler.open(RULE), TEST, plates(answers=True))
    classes = ruled.probabilities.argmax(axis=1).tolist()
    assert classes[0] == classes[3] == 0  # two images of the answer x
    assert sorted(classes[1:3]) == [1, 2]


def test_a_rule_for_related_rows_needs_each_row_in_the_test_table(tmp_path: Path) -> None:
    (member,) = read_members(competition(tmp_path), ["a"])
    with pytest.raises(InvalidError, match="D41 1 rows of the sample are not in the test table") as caught:
        blend_test_rows([member], Ensembler.open(RULE), TEST, plates(answers=False).take([0, 1, 2]))
    assert [case.id for case in caught.value.cases] == ["a,b"]
