"""Blending: unbiased scores, a submission of all rows, an entry on the board, and no torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kit.config.workspace import Workspace
from kit.core.files import sha256
from kit.data.predictions import Predictions
from kit.data.table import test_table
from kit.errors import ConfigError, DataError, InvalidError, KitWarning
from kit.stages.blending.blend import blend
from kit.stages.submission.board import Board
from tests.approximate import approx
from tests.blends import submit_blend
from tests.written_runs import CLASSES, TEST, competition, shares, write_run


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return competition(tmp_path)


def test_members_and_blend_are_scored_pooled_and_by_fold(workspace: Workspace) -> None:
    submitted = submit_blend(workspace, ["runs/a", "runs/b"])
    a, b, both = submitted.scores
    assert [a.name, b.name, both.name] == ["a@plain", "b@plain", "blend"]
    assert (a.cv, b.cv) == (1, approx(8 / 9))
    assert b.folds == {0: 1, 1: pytest.approx(2 / 3), 2: 1}
    assert both.cv == submitted.cv == 1  # where b is wrong with 0.6, a is right with 0.8
    assert (submitted.rows, submitted.test_rows, submitted.metric, submitted.rank) == (9, 4, "accuracy", 1)


def test_the_submission_has_the_rows_of_the_sample(workspace: Workspace) -> None:
    submitted = submit_blend(workspace, ["runs/a@d4"], name="first")
    assert submitted.path == workspace.submissions / "0001-first.csv"
    assert submitted.path.read_text() == 'id,label\n007,ant\n1e5,bee\nNA,bee\n"a,b",ant\n'


def test_probabilities_are_the_mean_of_folds_and_members(tmp_path: Path) -> None:
    workspace = competition(tmp_path, header="id,ant,bee,cat", cells=",0.3,0.3,0.4")
    lines = submit_blend(workspace, ["a", "b"]).path.read_text().splitlines()
    # class 1 at row 1: fold 0 gives .8 and .6, fold 1 swaps bee and cat: .1 and .2
    name, ant, bee, cat = lines[2].split(",")
    assert name == "1e5"
    assert float(bee) == pytest.approx((0.8 + 0.6 + 0.1 + 0.2) / 4)
    assert float(cat) == pytest.approx((0.8 + 0.6 + 0.1 + 0.2) / 4)
    assert float(ant) == pytest.approx(0.15)


def test_a_ranking_of_several_rows_an_id_is_predicted_once_and_written_in_full(tmp_path: Path) -> None:
    space = competition(tmp_path)
    ids = [f'"{name}"' if "," in name else name for name in TEST]
    lines = [f"{name},{label}" for name in ids for label in CLASSES[:2]]
    (tmp_path / "data" / "sample_submission.csv").write_text("\n".join(["id,label", *lines]) + "\n")
    assert test_table(tmp_path, space.competition.data, CLASSES).ids.tolist() == list(TEST)
    submitted = submit_blend(space, ["runs/a@d4"], name="x")
    assert submitted.format == "ranking"
    assert submitted.path.read_text().splitlines()[1:5] == [
        "007,ant",
        "007,bee",
        "1e5,bee",
        "1e5,cat",
    ]  # .425 each, in class order
    assert len(submitted.path.read_text().splitlines()) == 9


def test_test_rows_are_joined_by_id(workspace: Workspace) -> None:
    write_run(workspace.root, "b", test=TEST[::-1])
    mixed = submit_blend(workspace, ["runs/b"]).path.read_text()
    assert mixed == 'id,label\n007,ant\n1e5,bee\nNA,bee\n"a,b",ant\n'


def test_the_record_says_what_the_submission_was_made_from(workspace: Workspace) -> None:
    submitted = submit_blend(workspace, ["a", "b"], {"name": "weighted", "weights": [3, 1]})
    record = json.loads(submitted.record.read_text())
    assert record["ensembler"] == {"name": "weighted", "weights": [3, 1]}
    assert record["format"] == {"name": "label"}
    assert record["metric"] == {"name": "accuracy"}
    assert [member["member"] for member in record["members"]] == ["a@plain", "b@plain"]
    assert record["members"][0]["test"]["checkpoints"] == {"0": "0012:a"}
    assert record["scores"][2]["cv"] == submitted.cv
    assert (record["rows"], record["test_rows"]) == (9, 4)
    assert record["sha256"] == sha256(submitted.path)
    assert record["fingerprints"]["sample"] == sha256(workspace.root / "data" / "sample_submission.csv")


def test_each_blend_is_entered_and_ranked(workspace: Workspace) -> None:
    write_run(workspace.root, "c", wrong=[0, 1, 2, 3])
    assert [submit_blend(workspace, [name]).rank for name in ("c", "b", "a")] == [1, 1, 1]
    assert submit_blend(workspace, ["c"], name="again").rank == 4
    entries = Board.read(workspace.submissions).sort_entries()
    assert [(entry.number, entry.members) for entry in entries] == [
        (3, "a@plain"),
        (2, "b@plain"),
        (1, "c@plain"),
        (4, "c@plain"),
    ]
    assert entries[0].file == "0003-mean-a.csv"
    assert entries[0].name == "mean-a"


def test_lower_is_better_where_the_metric_says_so(tmp_path: Path) -> None:
    workspace = competition(tmp_path, metric="log_loss")
    assert [submit_blend(workspace, [name]).rank for name in ("b", "a")] == [1, 1]


def test_the_name_of_the_config_s_ensembler_keeps_its_options(tmp_path: Path) -> None:
    competition(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    given = {"name": "weighted", "weights": [3, 1]}
    (tmp_path / "config.json").write_text(json.dumps({**config, "ensembler": given}))
    assert submit_blend(Workspace.open(tmp_path), ["a", "b"], "weighted").ensembler == given
    assert submit_blend(Workspace.open(tmp_path), ["a", "b"], "mean").ensembler == {"name": "mean"}


def test_the_config_names_the_ensembler_that_is_used(tmp_path: Path) -> None:
    workspace = competition(tmp_path, ensembler="geometric")
    assert (
        json.loads(submit_blend(workspace, ["a", "b"]).record.read_text())["ensembler"]["name"] == "geometric"
    )


def test_partial_members_are_scored_on_what_all_cover(workspace: Workspace) -> None:
    write_run(workspace.root, "b", rows=[0, 1, 2, 3])
    with pytest.warns(
        KitWarning, match=r"W10 only the 4 rows that all members predict are scored \(a@plain 9, b@plain 4\)"
    ):
        submitted = submit_blend(workspace, ["a", "b"])
    assert submitted.rows == 4
    assert set(submitted.scores[0].folds) == {0, 1}


def test_members_of_as_many_but_other_rows_are_reported_so_too(workspace: Workspace) -> None:
    write_run(workspace.root, "a", rows=range(6))
    write_run(workspace.root, "b", rows=range(3, 9))
    with pytest.warns(KitWarning, match="W10 only the 3 rows"):
        assert submit_blend(workspace, ["a", "b"]).rows == 3


def test_blending_needs_the_labels_and_no_images(workspace: Workspace) -> None:
    shutil.rmtree(workspace.root / "data" / "images")
    assert submit_blend(workspace, ["a"]).rows == 9


def test_a_board_that_cannot_be_read_stops_the_blend_before_it_writes(workspace: Workspace) -> None:
    workspace.submissions.mkdir()
    (workspace.submissions / "board.csv").write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match="D37"):
        blend(workspace, ["a"])
    assert [file.name for file in workspace.submissions.iterdir()] == ["board.csv"]


def test_a_number_stays_one_submission_when_its_files_are_removed(workspace: Workspace) -> None:
    submit_blend(workspace, ["a"])
    second = submit_blend(workspace, ["b"])
    second.path.unlink()
    second.record.unlink()
    assert submit_blend(workspace, ["a"], name="third").number == 3


def test_the_same_blend_again_is_the_same_submission(workspace: Workspace) -> None:
    first, again = submit_blend(workspace, ["a", "b"]), submit_blend(workspace, ["a", "b"])
    assert (first.number, first.is_new, again.number, again.is_new) == (1, True, 1, False)
    assert submit_blend(workspace, ["b", "a"]).number == 2
    assert submit_blend(workspace, ["a", "b"], ensembler="geometric").number == 3
    (workspace.submissions / "0001-mean-a-b.csv").unlink()
    assert submit_blend(workspace, ["a", "b"]).number == 1
    assert first.path.is_file()
    assert [entry.number for entry in Board.read(workspace.submissions).entries] == [1, 2, 3]


def test_a_fold_without_a_score_does_not_stop_the_blend(tmp_path: Path) -> None:
    workspace = competition(tmp_path, metric="auc")
    write_run(tmp_path, "b", rows=[0, 1, 2, 3])
    with pytest.warns(KitWarning):
        score = submit_blend(workspace, ["a", "b"]).scores[0]
    assert score.cv == 1
    assert score.folds == {0: 1, 1: None}


FITTED = '''"""Picks the member that is best on the rows it is fitted on.

Source: this test.
"""

from typing import ClassVar

from kit.kinds import Ensembler


class BestMember(Ensembler):
    fitted: ClassVar[bool] = True
    pick: int = 0

    def fit(self, members, truth):
        hits = [(member.argmax(axis=1) == truth).mean() for member in members]
        return self.model_copy(update={"pick": hits.index(max(hits))})

    def blend(self, members):
        return members[self.pick]
'''


def test_a_fitted_ensembler_is_scored_on_rows_it_was_not_fitted_on(workspace: Workspace) -> None:
    file = workspace.root / "plugins" / "ensembler" / "best_member.py"
    file.parent.mkdir(parents=True)
    file.write_text(FITTED)
    # a is wrong in all of fold 0, b in two rows of each other fold: fitted on folds 1 and 2, a is the pick for fold 0
    write_run(workspace.root, "a", wrong=[0, 1, 2])
    write_run(workspace.root, "b", wrong=[3, 4, 6, 7])
    submitted = submit_blend(workspace, ["a", "b"], "best_member")
    a, b, both = (score.cv for score in submitted.scores)
    assert (a, b) == (approx(6 / 9), approx(5 / 9))
    # without fold 1: a hits 3 of 6, b 4 of 6, so b; the same without fold 2
    assert submitted.scores[2].folds == {0: 0, 1: pytest.approx(1 / 3), 2: pytest.approx(1 / 3)}
    assert both == pytest.approx(2 / 9)
    assert json.loads(submitted.record.read_text())["ensembler"] == {"name": "best_member", "pick": 0}


@pytest.mark.filterwarnings("ignore::kit.errors.KitWarning")
def test_class_shares_are_those_of_all_labelled_rows(workspace: Workspace) -> None:
    """A run of some folds predicts few rows; here three of ant and two of bee, of the table's three of each class."""
    write_run(workspace.root, "a", rows=[0, 1, 3, 4, 6])
    recipe = json.loads(submit_blend(workspace, ["a"], "prior_matching").record.read_text())["ensembler"]
    assert recipe["shares"] == pytest.approx([1 / 3, 1 / 3, 1 / 3])


def test_identical_images_are_fitted_and_scored_on_together(workspace: Workspace) -> None:
    """With one fold the rows are cut into parts: nine copies of one image cannot be, though no group says so."""
    file = workspace.root / "plugins" / "ensembler" / "best_member.py"
    file.parent.mkdir(parents=True)
    file.write_text(FITTED)
    alone = Workspace.open(workspace.root, ["data.group=null"])
    for name in ("a", "b"):
        write_run(workspace.root, name, folds=[0] * 9)
    with pytest.raises(InvalidError, match="D46 9 out-of-fold rows of 1 groups are too few to split"):
        blend(alone, ["a", "b"], "best_member")
    for number, image in enumerate(sorted((workspace.root / "data" / "images").iterdir())):
        image.write_bytes(bytes([number]))
    assert submit_blend(alone, ["a", "b"], "best_member").cv == 1


def test_nothing_is_written_when_a_member_does_not_fit(workspace: Workspace) -> None:
    write_run(workspace.root, "b", classes=("bee", "ant", "cat"))
    with pytest.raises(InvalidError, match="D42"):
        blend(workspace, ["a", "b"])
    assert not workspace.submissions.exists()


def test_predictions_of_other_rows_than_the_sample_are_refused(workspace: Workspace) -> None:
    for name in ("a", "b"):
        write_run(workspace.root, name, test=[*TEST[:3], "x"])
    with pytest.raises(
        InvalidError, match="D41 a@plain does not predict the sample's rows: 1 of 4 ids have no prediction"
    ) as caught:
        blend(workspace, ["a", "b"])
    assert [case.id for case in caught.value.cases] == ["a,b", "x"]


def test_rows_that_the_training_table_lacks_are_refused(workspace: Workspace) -> None:
    table = workspace.root / "data" / "train.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(InvalidError, match="D41 1 predicted rows have no label"):
        blend(workspace, ["a"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.25])
def test_a_probability_that_is_none_never_reaches_a_submission(value: float, workspace: Workspace) -> None:
    from pyarrow import array, float32, parquet

    file = workspace.runs / "b" / "predictions" / "plain" / "test.parquet"
    table = parquet.read_table(file)
    column = table.column("bee").to_pylist()
    column[2] = value
    worse = table.set_column(3, "bee", array(column, float32()))
    parquet.write_table(worse.replace_schema_metadata(table.schema.metadata), file)
    with pytest.raises(
        InvalidError, match=r"D40 1 of 8 rows are not probabilities\n  .*test\.parquet: row 2, id 'NA'"
    ):
        blend(workspace, ["a", "b"])
    assert not workspace.submissions.exists()


def test_weights_are_one_a_member(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="3 weights for 2 members"):
        blend(workspace, ["a", "b"], {"name": "weighted", "weights": [1, 1, 1]})


def test_blending_imports_no_torch(workspace: Workspace) -> None:
    code = (
        "import sys\nfrom kit.commands._menu import run\n"
        "status = run(['blend', 'runs/a@d4', 'runs/b', '--ensembler', 'rank'])\n"
        "print(status, sorted(name for name in ('torch', 'timm', 'cv2', 'albumentations') if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=workspace.root,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "0 []"


def test_shares_of_the_tests_are_probabilities() -> None:
    rows = shares([0, 1, 2], 0.6, wrong=[1])
    Predictions(np.array(["a", "b", "c"]), np.zeros(3, dtype=int), CLASSES, rows).check()
    assert rows.argmax(axis=1).tolist() == [0, 2, 2]
