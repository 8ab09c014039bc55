"""What does not fit the sample is said before training, with what is meant and the line that repairs it."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.data.table import test_table as read_test
from kit.data.table import train_table
from kit.errors import KitWarning
from kit.experiment.sample_fit import Misfit, alike, counterparts, misfits
from tests.drawn_tables import csv, make

TRAIN = csv("id,label", "a,cat", "b,dog", "c,eel")
IMAGES = [f"images/{name}.jpg" for name in ("a", "b", "c", "te00", "te01", "te02")]
DATA = '{"data": {"train": "train.csv", "sample": "sample.csv", "images": "images/{id}", "test": "test.csv"}}'
TEST = csv("id,place,file", "te00,x,te00.jpg", "te01,y,te01.jpg", "te02,x,te02.jpg")


def sample_findings(root: Path, *overrides: str, files: dict[str, str] | None = None) -> list[Misfit]:
    if files is not None:
        make(root, {"config.json": DATA, "train.csv": TRAIN, "test.csv": TEST, **files}, IMAGES)
    space = Workspace.open(root, overrides)
    data = space.competition.data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        train = train_table(root, data)
        return list(misfits(space, train, read_test(root, data, train.classes)))


def mended(root: Path, misfit: Misfit) -> list[Misfit]:
    (line,) = shlex.split(misfit.hint)
    return sample_findings(root, line)


def test_a_sample_that_fits_is_no_misfit(tmp_path: Path) -> None:
    files = {"sample.csv": csv("id,label", "te01,cat", "te00,dog", "te02,cat")}
    assert sample_findings(tmp_path, files=files) == []


def test_ids_with_an_ending_are_reported_with_the_row_that_is_meant_and_what_corrects_them(
    tmp_path: Path,
) -> None:
    sample = csv("id,label", "te00.jpg,cat", "te01.jpg,cat", "te02.jpg,cat")
    (misfit,) = sample_findings(tmp_path, files={"sample.csv": sample})
    assert misfit.summary == (
        "3 of 3 rows of test.csv are not in sample.csv, and 3 of its 3 ids are not in test.csv"
    )
    assert str(misfit.cases[0]) == "row 'te00' is not in the sample; did you mean 'te00.jpg'?"
    assert misfit.hint == "data.test=null"
    assert mended(tmp_path, misfit) == []


def test_where_the_images_need_the_test_table_its_ids_are_given_the_ending(tmp_path: Path) -> None:
    sample = csv("id,label", "te00.jpg,cat", "te01.jpg,cat", "te02.jpg,cat")
    config = DATA.replace('"test"', '"test_images": "images/{file}", "test"')
    (misfit,) = sample_findings(tmp_path, files={"sample.csv": sample, "config.json": config})
    assert misfit.hint == "'data.id={id}.jpg'"
    assert mended(tmp_path, misfit) == []


def test_rows_that_are_missing_and_too_many_are_counted_and_named(tmp_path: Path) -> None:
    sample = csv("id,label", "te00,cat", "te01,cat", "te03,cat", "te04,cat")
    (misfit,) = sample_findings(tmp_path, files={"sample.csv": sample})
    assert (
        misfit.summary
        == "1 of 3 rows of test.csv are not in sample.csv, and 2 of its 4 ids are not in test.csv"
    )
    assert [str(case) for case in misfit.cases] == [
        "row 'te02' is not in the sample; did you mean 'te04'?",
        "the sample's id 'te03' is not in the test table",
        "the sample's id 'te04' is not in the test table",
    ]
    assert "=" not in misfit.hint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("7", "007"),
        ("te00", "te00.jpg"),
        ("test/te00.png", "te00"),
        (r"test\te00.png", "te00"),
        ("A", "a "),
        ("5.0", "5"),
    ],
)
def test_ids_that_may_be_one_row_are_alike(one: str, other: str) -> None:
    assert alike(one) == alike(other)


def test_ids_that_only_end_in_numbers_are_not_alike() -> None:
    assert len({alike(name) for name in ("1.25", "1.5", "a.b.c", "a.b.d", "0", "")}) == 5
    assert counterparts(["1", "01"], ["001"]) == {}


def test_columns_that_are_no_class_are_reported_with_the_rename_that_names_them(tmp_path: Path) -> None:
    sample = csv("id,cats,dogs,eels", *(f"te0{n},0.3,0.3,0.4" for n in range(3)))
    (misfit,) = sample_findings(tmp_path, files={"sample.csv": sample})
    assert misfit.about == "classes"
    assert str(misfit.cases[0]) == "column 'cats' is not a class; did you mean 'cat'?"
    assert misfit.hint == """'data.label_from.rename={"cat": "cats", "dog": "dogs", "eel": "eels"}'"""
    assert mended(tmp_path, misfit) == []


def test_a_label_of_the_sample_that_is_no_class_is_reported_with_the_nearest(tmp_path: Path) -> None:
    sample = csv("id,label", "te00,cat", "te01,dgo", "te02,cat")
    (misfit,) = sample_findings(tmp_path, files={"sample.csv": sample})
    assert str(misfit.cases[0]) == "label 'dgo' is not a class; did you mean 'dog'?"


def test_a_format_that_the_sample_does_not_have_is_reported(tmp_path: Path) -> None:
    sample = csv("id,label", "te00,cat", "te01,dog", "te02,cat")
    (misfit,) = sample_findings(
        tmp_path, 'format={"name": "binary_probability"}', files={"sample.csv": sample}
    )
    assert misfit.summary.startswith("the sample does not match the 3 classes: ")


def test_a_ranking_of_many_rows_is_tried_with_whole_ids(tmp_path: Path) -> None:
    rows = [f"te0{n},{label}" for n in range(3) for label in ("cat", "dog")]
    assert sample_findings(tmp_path, files={"sample.csv": csv("id,label", *rows)}) == []


def test_the_commands_say_it_before_anything_is_trained(
    competition: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    data = competition / "data"
    sample = (data / "sample_submission.csv").read_text()
    (data / "test.csv").write_text(sample)
    (data / "sample_submission.csv").write_text(sample.replace(",blob", ".png,blobb"))
    inside(competition)
    assert run(["train", "--dry-run", "data.test=data/test.csv"]) == 0
    said = capsys.readouterr().err
    assert "W41 kit blend will stop: 12 of 12 rows" in said
    assert "row '060' is not in the sample; did you mean '060.png'?" in said
    assert "W42 kit blend will stop: the sample does not match the 3 classes: C21" in said
    assert "label 'blobb' is not a class; did you mean 'blob'?" in said
    assert run(["check", "data.test=data/test.csv"]) == 3
    output = capsys.readouterr().out
    assert "K42 problem: 12 of 12 rows" in output
    assert "K43 problem: the sample does not match" in output


def test_a_sample_that_cannot_be_read_is_reported_before_training(
    competition: Path, inside: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    sample = competition / "data" / "sample_submission.csv"
    (competition / "data" / "test.csv").write_text(sample.read_text())
    lines = sample.read_text().splitlines()
    sample.write_text("\n".join([*lines, lines[-1].replace("blob", "ring")]) + "\n")
    inside(competition)
    assert run(["train", "--dry-run", "data.test=data/test.csv"]) == 0
    assert "W42 the sample cannot be read, kit blend will stop: D24" in capsys.readouterr().err
