"""A submission has the sample's shape, or is not written."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.data.predictions import Predictions
from kit.data.table import sample_frame
from kit.errors import ConfigError, InvalidError, KitWarning, PluginError
from kit.experiment.sample_format import check_table, choose_format, make_table
from kit.kinds import Format
from kit.stages.submission.submission import file_slug, next_number, write
from tests.written_runs import CLASSES, TEST, competition

PREDICTIONS = Predictions(
    np.array(TEST, dtype=str),
    np.full(4, -1),
    CLASSES,
    np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0, 0.5, 0.5], [0.25, 0.25, 0.5]], dtype=np.float32),
)


def chosen(root: Path, top_k: int | None = None, **sample: Any) -> Format:
    workspace = competition(root, **sample)
    return choose_format(workspace, sample_frame(root, workspace.competition.data), CLASSES, top_k)


@pytest.mark.parametrize(
    ("cells", "header", "name"),
    [
        (",ant", "id,label", "label"),
        (",0.3,0.3,0.4", "id,cat,ant,bee", "probabilities"),
        (",ant bee", "id,labels", "top_k"),
    ],
)
def test_the_sample_decides_on_the_format(cells: str, header: str, name: str, tmp_path: Path) -> None:
    assert chosen(tmp_path, cells=cells, header=header).plugin_name() == name


def test_the_config_decides_before_the_sample(tmp_path: Path) -> None:
    assert chosen(tmp_path, format={"name": "top_k", "k": 2}).spec() == {"name": "top_k", "k": 2}


def test_an_unclear_sample_lists_what_was_tried(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="C21 the sample submission matches no known format") as caught:
        chosen(tmp_path, cells=",wasp")
    assert [str(case) for case in caught.value.cases] == [
        "data/sample_submission.csv: columns id, label; first row 007, wasp",
        "the 3 classes: ant, bee, cat",
        "tried binary_probability, id_list, image_rows, label, label_confidence, long, one_hot, probabilities, "
        "ranked_columns, ranking, top_k",
    ]
    assert caught.value.exit_code == 2


def test_two_formats_that_know_the_sample_are_named(tmp_path: Path) -> None:
    workspace = competition(tmp_path)
    file = tmp_path / "plugins" / "format" / "greedy.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "from kit.kinds import Format\n\n\n"
        "class Greedy(Format):\n    def matches(self, sample, classes):\n        return True\n"
    )
    sample = sample_frame(tmp_path, workspace.competition.data)
    with pytest.raises(ConfigError, match="matches several formats: greedy, label"):
        choose_format(workspace, sample, CLASSES)


def test_a_format_that_cannot_be_opened_stops_only_those_who_ask_for_it(tmp_path: Path) -> None:
    workspace = competition(tmp_path)
    folder = tmp_path / "plugins" / "format"
    folder.mkdir(parents=True)
    (folder / "broken.py").write_text("import nothing_of_this_name\n")
    sample = sample_frame(tmp_path, workspace.competition.data)
    with pytest.warns(KitWarning, match="W13 format 'broken' is skipped: P01"):
        assert choose_format(workspace, sample, CLASSES).plugin_name() == "label"
    own_format = competition(tmp_path / "asked", format="broken")
    shutil.copytree(tmp_path / "plugins", tmp_path / "asked" / "plugins")
    with pytest.raises(PluginError, match="P01"):
        choose_format(own_format, sample, CLASSES)


def test_a_format_with_an_option_that_must_be_given_waits_to_be_asked_for(tmp_path: Path) -> None:
    workspace = competition(tmp_path)
    file = tmp_path / "plugins" / "format" / "needy.py"
    file.parent.mkdir(parents=True)
    file.write_text("from kit.kinds import Format\n\n\nclass Needy(Format):\n    columns: str\n")
    sample = sample_frame(tmp_path, workspace.competition.data)
    assert choose_format(workspace, sample, CLASSES).plugin_name() == "label"


def test_top_k_sets_the_labels_a_row_where_the_sample_ranks_them(tmp_path: Path) -> None:
    assert chosen(tmp_path, top_k=3, cells=",ant bee").spec()["k"] == 3


def test_top_k_without_ranked_labels_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the sample has format 'label', which has no ranked labels"):
        chosen(tmp_path, top_k=3)


def test_a_top_k_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"format\.k: .* greater than or equal to 1"):
        chosen(tmp_path, top_k=0, cells=",ant bee")


def test_a_binary_sample_of_zeros_is_said_to_be_read_as_labels(tmp_path: Path) -> None:
    workspace = competition(tmp_path, cells=",0")
    sample = sample_frame(tmp_path, workspace.competition.data)
    with pytest.warns(KitWarning, match="W11 every cell of the sample is 0, read as a label"):
        assert choose_format(workspace, sample, ("0", "1")).plugin_name() == "label"


def test_a_sample_of_one_1_a_row_is_said_to_be_read_as_one_hot(tmp_path: Path) -> None:
    with pytest.warns(KitWarning, match="W16 every row of the sample has one 1, read as one_hot"):
        assert chosen(tmp_path, cells=",0,1,0", header="id,cat,ant,bee").plugin_name() == "one_hot"


@pytest.fixture
def sample() -> pd.DataFrame:
    return pd.DataFrame({"id": list(TEST), "label": "ant"}, dtype=str)


def test_the_table_keeps_the_sample_order_and_its_ids_byte_for_byte(
    sample: pd.DataFrame, tmp_path: Path
) -> None:
    table = make_table(replace(PREDICTIONS), sample.iloc[::-1].reset_index(drop=True), Format.open("label"))
    written = write(tmp_path, "mean", table, {})
    assert written.path.read_bytes() == b'id,label\n"a,b",cat\nNA,bee\n1e5,bee\n007,ant\n'


def test_fields_are_separated_as_in_the_sample(sample: pd.DataFrame, tmp_path: Path) -> None:
    table = make_table(PREDICTIONS, sample, Format.open("label"))
    assert write(tmp_path, "mean", table, {}, sep=";").path.read_bytes().startswith(b"id;label\n007;ant\n")


def checked(table: pd.DataFrame, sample: pd.DataFrame, classes: tuple[str, ...] = CLASSES) -> InvalidError:
    with pytest.raises(InvalidError) as caught:
        check_table(table, sample, Format.open("label"), classes)
    assert caught.value.exit_code == 4
    return caught.value


def test_other_columns_are_refused(sample: pd.DataFrame) -> None:
    error = checked(sample.rename(columns={"label": "Label"}), sample)
    assert error.code == "D44"
    assert [str(case) for case in error.cases] == ["sample: id, label", "submission: id, Label"]


def test_a_row_that_is_lost_is_named(sample: pd.DataFrame) -> None:
    error = checked(sample.iloc[[0, 1, 3]], sample)
    assert error.code == "D41"
    assert (
        "the 3 ids of the submission are not the 4 ids of the sample in its order: 1 missing, 0 extra"
        in error.summary
    )
    assert str(error.cases[0]) == "NA: is missing"


def test_another_order_is_refused(sample: pd.DataFrame) -> None:
    assert "0 missing, 0 extra" in checked(sample.iloc[::-1], sample).summary


@pytest.mark.parametrize("cell", ["", " ", "NaN", "nan", float("nan"), None, 0.5])
def test_an_empty_cell_is_refused_with_its_id(cell: Any, sample: pd.DataFrame) -> None:
    table = sample.astype(object)
    table.iloc[2, 1] = cell
    error = checked(table, sample)
    assert (error.code, error.summary) == ("D44", "1 cells of the submission are empty or NaN")
    assert error.cases[0].id == "NA"


def test_a_class_may_be_called_nan(sample: pd.DataFrame) -> None:
    table = sample.assign(label="nan")
    check_table(table, sample, Format.open("label"), ("nan", "ant"))


def test_a_label_that_is_no_class_is_refused(sample: pd.DataFrame) -> None:
    table = sample.assign(label=["ant", "wasp", "ant", "ant"])
    assert "format 'label' does not match its own format" in checked(table, sample).summary


def test_predictions_without_an_id_of_the_sample_are_refused(sample: pd.DataFrame) -> None:
    short = Predictions(PREDICTIONS.ids[:3], PREDICTIONS.folds[:3], CLASSES, PREDICTIONS.probabilities[:3])
    with pytest.raises(InvalidError, match="D41 1 of 4 ids have no prediction"):
        make_table(short, sample, Format.open("label"))


def test_numbers_go_on_after_the_highest(sample: pd.DataFrame, tmp_path: Path) -> None:
    for file in ("0003-x.csv", "0011-y.json", "board.csv", "12-short.csv", "README.md"):
        (tmp_path / file).touch()
    written = write(tmp_path, "my blend/2", sample, {"rows": 9})
    assert (written.number, written.path.name, written.record.name) == (
        12,
        "0012-my-blend-2.csv",
        "0012-my-blend-2.json",
    )
    assert next_number(tmp_path) == 13


def test_a_number_is_not_given_twice_though_its_files_are_gone(sample: pd.DataFrame, tmp_path: Path) -> None:
    assert write(tmp_path, "mean", sample, {}, last=7).number == 8


def test_the_record_stands_beside_the_submission(sample: pd.DataFrame, tmp_path: Path) -> None:
    written = write(tmp_path, "mean", sample, {"rows": 9})
    record = json.loads(written.record.read_text())
    assert record == {
        "number": 1,
        "name": "mean",
        "file": "0001-mean.csv",
        "sha256": record["sha256"],
        "rows": 9,
    }
    assert len(record["sha256"]) == 64


@pytest.mark.parametrize(
    ("name", "expected"),
    [("x", "x"), ("../../etc", "etc"), ("=cmd|x", "cmd-x"), ("ä ö", "submission"), ("", "submission")],
)
def test_a_name_is_a_file_name_everywhere(name: str, expected: str) -> None:
    assert file_slug(name) == expected
