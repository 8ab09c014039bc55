"""kit check names classes that may be one, with the rename that makes them one."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path

import pytest

from kit.config.models import Data, LabelFrom
from kit.config.overrides import apply_overrides
from kit.data.table import Table, train_table
from kit.errors import KitWarning
from kit.stages.checks.finding import Finding
from kit.stages.checks.spellings import check_class_spellings
from tests.drawn_tables import PLAIN, csv, make


def drawn(root: Path, labels: list[str], data: Data = PLAIN) -> Table:
    rows = [f"a{n},{label}" for n, label in enumerate(labels)]
    files = {"train.csv": csv("id,label", *rows), "sample.csv": csv("id,x", "t,?")}
    make(root, files, [f"images/a{n}.png" for n in range(len(labels))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        return train_table(root, data)


def spelling_findings(table: Table, rename: dict[str, str] | None = None) -> dict[str, Finding]:
    return {one.code: one for one in check_class_spellings(table, rename or {})}


def test_classes_of_different_names_are_no_finding(tmp_path: Path) -> None:
    assert spelling_findings(drawn(tmp_path, ["cat", "cats", "1", "10", "True", "é", "e"])) == {}


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("cat ", "cat"),
        ("cat\u00a0", "cat"),
        ("\u200bcat", "cat"),
        ("cafe\u0301", "café"),
        ("cafÃ©", "café"),
        ("Cat", "cat"),
        ("TRUE", "True"),
        ("01", "1"),
        ("1.10", "1.1"),
    ],
)
def test_two_spellings_are_reported_with_their_rows_and_the_rename_that_merges_them(
    wrong: str, right: str, tmp_path: Path
) -> None:
    table = drawn(tmp_path, [right, right, right, wrong, wrong, "dog"])
    finding = spelling_findings(table)["K40"]
    assert finding.level == "warning"
    shown = ascii(wrong) if wrong in ("cat\u00a0", "\u200bcat", "cafe\u0301") else repr(wrong)
    assert [str(case) for case in finding.cases] == [f"{right!r} (3 rows) and {shown} (2 rows)"]
    line = shlex.split(finding.fix.rpartition(",")[0])[0]
    rename = apply_overrides({}, [line])["data"]["label_from"]["rename"]
    assert rename == {wrong: right}
    merged = drawn(
        tmp_path,
        [right, right, right, wrong, wrong, "dog"],
        PLAIN.model_copy(update={"label_from": LabelFrom(rename=rename)}),
    )
    assert spelling_findings(merged, rename) == {}
    assert dict(zip(merged.classes, merged.counts().tolist(), strict=True)) == {right: 5, "dog": 1}


def test_the_tidy_name_is_right_however_rare_it_is(tmp_path: Path) -> None:
    finding = spelling_findings(drawn(tmp_path, ["cat ", "cat ", "cat"]))["K40"]
    assert 'data.label_from.rename={"cat ": "cat"}' in finding.fix


def test_the_answer_keeps_what_is_renamed_already(tmp_path: Path) -> None:
    rename = {"C": "Cat", "D": "dog"}
    table = drawn(
        tmp_path, ["cat", "cat", "C", "D"], PLAIN.model_copy(update={"label_from": LabelFrom(rename=rename)})
    )
    assert 'data.label_from.rename={"C": "cat", "D": "dog"}' in spelling_findings(table, rename)["K40"].fix


def test_letters_of_both_cases_are_a_note(tmp_path: Path) -> None:
    assert spelling_findings(drawn(tmp_path, ["a", "A", "b"]))["K40"].level == "note"


def test_numbers_in_two_forms_are_one_class_and_a_note(tmp_path: Path) -> None:
    table = drawn(tmp_path, ["1", "1.0", "1.0", "2"])
    findings = spelling_findings(table)
    assert set(findings) == {"K41"}
    assert [str(case) for case in findings["K41"].cases] == ["'1' (1 row) and '1.0' (2 rows) are class '1'"]
    assert 'data.label_from.rename={"1.0": "1"}' in findings["K41"].fix


def test_labels_in_cells_are_compared_too(tmp_path: Path) -> None:
    table = drawn(tmp_path, ["cat|dog", "Cat", "cat"], PLAIN.model_copy(update={"label_separator": "|"}))
    assert [str(case) for case in spelling_findings(table)["K40"].cases] == [
        "'cat' (2 rows) and 'Cat' (1 row)"
    ]
