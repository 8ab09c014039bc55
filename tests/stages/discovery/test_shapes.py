"""kit init reads tables of other shapes: JSON, joined and split tables, labels in file names, folders by characters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import kit
from kit.commands.init import command
from kit.config.models import Data
from kit.config.workspace import Workspace
from kit.data.table import read_labelled_rows
from kit.data.table import test_table as table_to_predict
from kit.errors import ConfigError, DataError
from kit.stages.discovery.discover import discover
from tests.drawn_competitions import ROWS, StandIn
from tests.drawn_groups import GROUPED
from tests.drawn_shapes import SHAPES
from tests.drawn_tables import csv, make, usual


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_kit_init_finds_the_shape(shape: StandIn, tmp_path: Path) -> None:
    make(tmp_path, shape.files, shape.images)
    given = [word for key, value in shape.given.items() for word in (f"--{key.replace('_', '-')}", value)]
    result = CliRunner().invoke(command, [str(tmp_path), "--recipe", "scratch", "--json", *given])
    assert result.exit_code == 0, result.output
    written, shown = Workspace.open(tmp_path).competition, json.loads(result.stdout)
    data = written.data.model_dump(mode="json")
    assert {key: data[key] for key in shape.data} == shape.data
    if shape.metric:
        assert written.metric == shape.metric
        assert shown["format"] == shape.format, result.stderr


def of(root: Path, name: str) -> Path:
    return make(root, SHAPES[name].files, SHAPES[name].images)


def test_a_validation_table_joins_or_is_held_out_or_ignored(tmp_path: Path) -> None:
    root = of(tmp_path, "iNaturalist 2019")
    assert discover(root).splitter is None
    held = discover(root, val="holdout")
    assert held.splitter == {"name": "column", "column": "table", "held_out": ["val2019"]}
    table = read_labelled_rows(root, Data(**held.data))
    assert table.frame["table"].tolist() == ["train2019"] * 24 + ["val2019"] * 8
    ignored = discover(root, val="ignore")
    assert ignored.data["train"] == "train2019.json"
    assert any(line.startswith("left aside:") and "val2019.json" in line for line in ignored.findings)


def test_tables_that_share_images_are_not_one(tmp_path: Path) -> None:
    usual(tmp_path)
    first = (tmp_path / "train.csv").read_text()
    (tmp_path / "train.csv").unlink()
    make(tmp_path, {"train_1.csv": first, "train_2.csv": first})
    with pytest.raises(ConfigError, match="2 candidates for the labelled rows") as caught:
        discover(tmp_path)
    assert "--train" in caught.value.hint


def test_tables_named_by_their_class_are_one(tmp_path: Path) -> None:
    images = [f"photos/{name}{number}.jpg" for name in "ab" for number in range(9)]
    tables = {
        f"labels/{label}.csv": csv(
            "file,word,split", *(f"{name}{row}.jpg,{label},labels" for row in range(9))
        )
        for name, label in (("a", "alarm clock"), ("b", "cat"))
    }
    sample = csv("file,word", *(f"a{row}.jpg,cat" for row in range(3)))
    make(tmp_path, {**tables, "sample_submission.csv": sample}, images)
    discovery = discover(tmp_path)
    assert discovery.data["train"] == ["labels/alarm clock.csv", "labels/cat.csv"]
    assert (discovery.data["label"], discovery.rows) == ("word", 18)


def test_several_tables_may_be_given(tmp_path: Path) -> None:
    root = of(tmp_path, "labels in two tables")
    (root / "train_labels_2.csv").rename(root / "more.csv")
    assert discover(root).data["train"] == "train_labels_1.csv"
    discovery = discover(root, {"train": "train_labels_1.csv,more.csv"})
    assert discovery.data["train"] == ["train_labels_1.csv", "more.csv"]
    assert discovery.rows == 24
    with pytest.raises(ConfigError, match="--train: no table 'mor.csv'"):
        discover(root, {"train": "train_labels_1.csv,mor.csv"})


def test_a_table_to_join_may_be_given(tmp_path: Path) -> None:
    root = of(tmp_path, "labels by patient")
    text = (root / "train_labels.csv").read_text().replace("patient_id,grade", "who,grade")
    (root / "train_labels.csv").unlink()
    make(root, {"clinic.csv": text})
    discovery = discover(root, {"join": "clinic.csv", "on": "patient_id=who", "train": "train_images.csv"})
    assert discovery.data["join"] == [{"table": "clinic.csv", "on": "patient_id", "key": "who"}]
    assert discovery.data["label"] == "grade"
    assert "joined: clinic.csv by 'patient_id', there 'who'" in discovery.findings
    assert discover(root, {}).data["join"] == discovery.data["join"]
    assert (
        discover(root, {"join": "clinic.csv", "train": "train_images.csv"}).data["join"]
        == discovery.data["join"]
    )
    assert len(read_labelled_rows(root, Data(**discovery.data))) == 24


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"join": "clinc.csv"}, "--join: no table 'clinc.csv'; did you mean 'clinic.csv'"),
        (
            {"join": "clinic.csv"},
            "--join clinic.csv: the column of the keys is unknown; no column is in both",
        ),
        ({"join": "clinic.csv", "on": "who,who"}, "--on has 2 columns for 1 joined tables"),
        ({"join": "clinic.csv", "on": "patient"}, "--on: train_images.csv has no column 'patient'"),
        ({"join": "clinic.csv", "on": "patient_id"}, "--on: clinic.csv has no column 'patient_id'"),
    ],
)
def test_a_join_that_cannot_be_is_named(given: dict[str, str], said: str, tmp_path: Path) -> None:
    root = of(tmp_path, "labels by patient")
    make(root, {"clinic.csv": csv("who,stage", *(f"q{n:03},{n % 2}" for n in range(12)))})
    with pytest.raises(ConfigError, match=said) as caught:
        discover(root, {"train": "train_images.csv", **given})
    assert caught.value.code == "C20"


def test_a_chain_of_joined_tables_may_be_given(tmp_path: Path) -> None:
    root = of(tmp_path, "labels by visit and patient")
    given = {"train": "train_images.csv", "join": "visits.csv,diagnoses.csv", "on": ",patient_id=patient"}
    for options in (given, {**given, "on": "visit_id,patient_id=patient"}, {}):
        discovery = discover(root, options)
        assert discovery.data["join"] == [
            {"table": "visits.csv", "on": "visit_id"},
            {"table": "diagnoses.csv", "on": "patient_id", "key": "patient"},
        ]
    words = [
        "--join",
        "visits.csv",
        "--join",
        "diagnoses.csv",
        "--on",
        "visit_id",
        "--on",
        "patient_id=patient",
    ]
    result = CliRunner().invoke(command, [str(root), "--recipe", "scratch", *words])
    assert result.exit_code == 0, result.output
    assert [one.table for one in Workspace.open(root).competition.data.join] == [
        "visits.csv",
        "diagnoses.csv",
    ]
    rows = read_labelled_rows(root, Data(**discovery.data))
    assert [rows.label_names(row)[0] for row in range(4)] == ["severe", "severe", "severe", "severe"]
    assert [rows.label_names(row)[0] for row in range(4, 8)] == ["mild"] * 4


def test_numbers_of_other_names_are_no_keys(tmp_path: Path) -> None:
    root = of(tmp_path, "labels by visit and patient")
    rows = [f"{n},{'mild' if n % 3 else 'severe'}" for n in range(ROWS)]
    (root / "diagnoses.csv").write_text(csv("rank,grade", *rows))
    images = (root / "train_images.csv").read_text().splitlines()
    (root / "train_images.csv").write_text(
        csv(f"{images[0]},age", *(f"{line},{n}" for n, line in enumerate(images[1:])))
    )
    with pytest.raises(ConfigError, match="no column is evidently the label"):
        discover(root, {"train": "train_images.csv"})
    (root / "diagnoses.csv").write_text(csv("age_rank,grade", *rows))
    joined = discover(root, {"train": "train_images.csv"}).data["join"]
    assert joined[0] == {"table": "diagnoses.csv", "on": "age", "key": "age_rank"}


def test_more_columns_of_the_rows_are_named_and_not_joined(tmp_path: Path) -> None:
    usual(tmp_path)
    names = [line.partition(",")[0] for line in (tmp_path / "train.csv").read_text().splitlines()[1:]]
    make(tmp_path, {"weather.csv": csv("image_id,rain", *(f"{name},{n}" for n, name in enumerate(names)))})
    discovery = discover(tmp_path)
    assert "join" not in discovery.data
    more = [line for line in discovery.findings if line.startswith("weather.csv has more columns")]
    assert more[0].endswith("(rain): kit init --join weather.csv --on image_id adds them")


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["cat.{n}", "dog.{n}"], 2),
        (["Abyssinian_{n}", "american_bulldog_{n}"], 2),
        (["IMG_{n}"], 0),
        (["{n}"], 0),
        (["train_{n}", "train_{n}x"], 0),
    ],
)
def test_labels_in_names_are_taken_where_they_are_evident(
    names: list[str], labels: int, tmp_path: Path
) -> None:
    images = [f"train/{names[n % len(names)].format(n=n)}.jpg" for n in range(40)]
    make(tmp_path, {"sample_submission.csv": csv("id,label", *(f"{n},0.5" for n in range(9)))}, images)
    make(tmp_path, images=[f"test/{n}.jpg" for n in range(9)])
    if not labels:
        with pytest.raises(ConfigError, match="no labelled rows found") as caught:
            discover(tmp_path)
        assert "--label-from-name" in caught.value.hint
        return
    table = read_labelled_rows(tmp_path, Data(**discover(tmp_path).data))
    assert len(table.classes) == labels
    assert len(table) == 40


@pytest.mark.parametrize(
    ("regex", "code", "said"),
    [
        ("(eel)", "C20", "--label-from-name: no image in train matches"),
        ("cat", "C02", "has no group"),
        ("(cat", "C02", "not a regular expression"),
    ],
)
def test_a_regex_that_cannot_be_used_is_an_error(regex: str, code: str, said: str, tmp_path: Path) -> None:
    root = of(tmp_path, "Dogs vs. Cats")
    with pytest.raises(ConfigError, match=said) as caught:
        discover(root, {"label_from_name": regex})
    assert caught.value.code == code


def test_a_json_beside_the_tables_is_no_table_by_itself(tmp_path: Path) -> None:
    usual(tmp_path)
    make(tmp_path, {"dataset-metadata.json": '{"title": "x", "id": "a/b"}', "a.json": "[1, 2]"})
    discovery = discover(tmp_path)
    assert discovery.data["train"] == "train.csv"
    assert not any("json" in line for line in discovery.findings)


def test_a_json_that_is_cut_off_is_named(tmp_path: Path) -> None:
    usual(tmp_path)
    make(tmp_path, {"extra.json": '{"images": [{"id": 1'})
    assert any("not read: extra.json: D80" in line for line in discover(tmp_path).findings)


@pytest.mark.parametrize("fault", ["missing", "double"])
def test_a_table_of_labels_with_a_fault_is_joined_and_the_fault_named(fault: str, tmp_path: Path) -> None:
    root = of(tmp_path, "labels by patient")
    text = (root / "train_labels.csv").read_text()
    text = text.replace("p011,mild\n", "") if fault == "missing" else text + "p001,mild\n"
    (root / "train_labels.csv").write_text(text)
    result = CliRunner().invoke(command, [str(root), "--recipe", "scratch"])
    assert result.exit_code == 0, result.output
    assert "the data is not usable yet: D81" in result.stderr
    assert (
        "no row with patient_id 'p011'" in result.stderr or "patient_id 'p001' is on several" in result.stderr
    )


def test_a_json_of_labels_with_a_fault_is_refused_with_its_own_error(tmp_path: Path) -> None:
    root = of(tmp_path, "iWildCam 2020")
    file = root / "iwildcam2020_train_annotations.json"
    file.write_text(file.read_text().replace('"image_id": "', '"image_id": "x', 1))
    with pytest.raises(DataError, match="1 annotation names an image that does not exist") as caught:
        discover(root)
    assert (caught.value.code, caught.value.exit_code) == ("D80", 3)


def test_an_image_of_several_answers_is_a_row_of_each(tmp_path: Path) -> None:
    shape = GROUPED["Yelp Restaurant Photos"]
    make(tmp_path, shape.files, shape.images)
    lines = (tmp_path / "train_photo_to_biz_ids.csv").read_text().splitlines()
    (tmp_path / "train_photo_to_biz_ids.csv").write_text("\n".join(lines[:-1]) + "\n")
    discovery = discover(tmp_path)  # now the rows to predict alone have such images
    assert discovery.data["id"] == "{photo_id}_{business_id}"
    assert discovery.data["test_images"] == "test_photos/{photo_id}"
    data = Data(**{**discovery.data, "on_unreadable_test": "class_prior"})
    rows = table_to_predict(tmp_path, data)
    assert len(rows) == len(set(rows.ids)) == 8
    assert len({str(path) for path in rows.paths}) == 7


def test_several_tables_to_join_are_given_in_python(tmp_path: Path) -> None:
    root = of(tmp_path, "labels by visit and patient")
    kit.init(
        root, recipe="scratch", join=["visits.csv", "diagnoses.csv"], on=["visit_id", "patient_id=patient"]
    )
    joined = Workspace.open(root).competition.data.join
    assert [(one.table, one.on, one.key) for one in joined] == [
        ("visits.csv", "visit_id", None),
        ("diagnoses.csv", "patient_id", "patient"),
    ]
