"""A submission that kit did not write is checked: each fault is named by its line and id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kit.commands._menu import run
from kit.config.workspace import Workspace
from kit.errors import ConfigError, DataError, InvalidError
from kit.stages.submission.validation import Issue, ValidationReport, check_submission
from tests.written_runs import TEST, competition, write_run

GOOD = ["id,label", "007,ant", "1e5,bee", "NA,cat", '"a,b",ant']


def checked(root: Path, lines: list[str], **config: Any) -> ValidationReport:
    workspace = competition(root, **config)
    (root / "mine.csv").write_text("\n".join(lines) + "\n")
    return check_submission(workspace, root / "mine.csv")


def faults_of(root: Path, lines: list[str], **config: Any) -> list[tuple[int | None, str, str]]:
    return [(fault.line, fault.id, fault.detail) for fault in checked(root, lines, **config).faults]


def test_a_file_that_fits_has_no_faults(tmp_path: Path) -> None:
    report = checked(tmp_path, GOOD)
    assert report == ValidationReport(tmp_path / "mine.csv", "label", 4, ())


def test_other_columns_are_named_and_nothing_else_is_said(tmp_path: Path) -> None:
    assert faults_of(tmp_path, ["id,lable", *GOOD[1:3]]) == [
        (1, "", "column 'lable' is not in the sample; did you mean 'label'?"),
        (1, "", "column label missing"),
    ]


def test_another_order_of_the_columns_is_reported(tmp_path: Path) -> None:
    lines = ["id,ant,bee,cat", *(f"{name},0.2,0.3,0.5" for name in ("007", "1e5", "NA", '"a,b"'))]
    assert faults_of(tmp_path, lines, header="id,cat,ant,bee", cells=",0.3,0.3,0.4") == [
        (1, "", "the columns of the sample are in the order id, cat, ant, bee")
    ]


def test_ids_are_missing_extra_or_double(tmp_path: Path) -> None:
    assert faults_of(tmp_path, ["id,label", "7,ant", "1e5,bee", "zebra,cat", "1e5,ant", '"a,b",ant']) == [
        (2, "7", "is not in the sample; did you mean '007'?"),
        (4, "zebra", "is not in the sample"),
        (5, "1e5", "occurs 2 times, first on line 3"),
        (None, "007", "is missing"),
        (None, "NA", "is missing"),
    ]


def test_another_order_of_the_rows_is_a_note_and_no_fault(tmp_path: Path) -> None:
    report = checked(tmp_path, [GOOD[0], GOOD[1], GOOD[3], GOOD[2], GOOD[4]])
    assert report.faults == ()
    assert report.notes == (
        "the order of the rows differs from the sample from line 3 on ('NA', but '1e5' in the sample); "
        "Kaggle joins rows by id and accepts any order",
    )
    assert checked(tmp_path / "same", GOOD).notes == ()


def test_faults_of_cells_have_their_own_lines_in_another_order(tmp_path: Path) -> None:
    assert faults_of(tmp_path, [GOOD[0], GOOD[4], "NA,wasp", *GOOD[1:3]]) == [
        (3, "NA", "'wasp' is not a class")
    ]


def test_cells_are_empty_or_of_no_class(tmp_path: Path) -> None:
    assert faults_of(tmp_path, [GOOD[0], "007,", "1e5,NaN", "NA,beee", '"a,b",ant']) == [
        (2, "007", "column 'label' is empty"),
        (3, "1e5", "column 'label' is NaN"),
        (4, "NA", "'beee' is not a class; did you mean 'bee'?"),
    ]


def test_a_cell_with_a_line_break_is_a_fault_on_the_line_where_its_quote_opens(tmp_path: Path) -> None:
    faults = faults_of(tmp_path, [GOOD[0], "", '"007",ant', '1e5,"be', 'e"', *GOOD[3:4], "gnu,ant"])
    assert faults == [
        (4, "1e5", "column 'label': the quote that opens here closes only on line 5"),
        (7, "gnu", "is not in the sample"),
        (None, "a,b", "is missing"),
    ]


def test_rows_between_two_stray_quotes_are_missing_and_the_quotes_named(tmp_path: Path) -> None:
    faults = faults_of(tmp_path, ["id,label", '"007,ant', "1e5,bee", 'NA",cat', '"a,b",ant'])
    assert faults[0] == (2, "", "column 'id': the quote that opens here closes only on line 4")
    assert [(line, name) for line, name, _ in faults[1:]] == [(None, "007"), (None, "1e5"), (None, "NA")]


def test_a_ranking_may_have_its_ids_in_another_order(tmp_path: Path) -> None:
    workspace = competition(tmp_path)
    blocks = [[f"{name},{label}" for label in ("ant", "bee")] for name in TEST[:3]]
    sample = [row for block in blocks for row in block]
    (tmp_path / "data/sample_submission.csv").write_text("\n".join(["id,label", *sample]) + "\n")
    apart = [block[0] for block in reversed(blocks)] + [block[1] for block in blocks]
    (tmp_path / "mine.csv").write_text("\n".join(["id,label", *apart]) + "\n")
    report = check_submission(workspace, tmp_path / "mine.csv")
    assert (report.format, report.faults, len(report.notes)) == ("ranking", (), 1)
    apart[5] = "NA,ant"
    (tmp_path / "mine.csv").write_text("\n".join(["id,label", *apart]) + "\n")
    assert [fault.detail for fault in check_submission(workspace, tmp_path / "mine.csv").faults] == [
        "'ant' is there twice"
    ]


def test_an_id_in_another_unicode_form_says_that_this_is_the_difference(tmp_path: Path) -> None:
    workspace = competition(tmp_path)
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    (tmp_path / "data/sample_submission.csv").write_text(f"id,label\n{composed},ant\n")
    (tmp_path / "mine.csv").write_text(f"id,label\n{decomposed},ant\n")
    report = check_submission(workspace, tmp_path / "mine.csv")
    assert report.error().code == "D41"
    first, second = report.faults
    assert first.detail == (
        f"is not in the sample; the sample has {composed!r}, the same text in another Unicode form (NFD, not NFC)"
    )
    assert (second.id, second.detail) == (composed, "is missing")


@pytest.mark.parametrize(
    ("header", "sample", "rows", "why"),
    [
        (
            "id,cat,ant,bee",
            ",0.3,0.3,0.4",
            ["1,0,0", "1,0,1.5", "0,x,1", "1,1,1"],
            [
                (3, "column 'bee' holds '1.5', no number from 0 to 1"),
                (4, "column 'ant' holds 'x', no number from 0 to 1"),
            ],
        ),
        (
            "id,cat,ant,bee",
            ",0,0,1",
            ["0,1,0", "0,0,0", "0,0.5,0.5", "1,1,0"],
            [
                (3, "0 of 3 cells are 1, not one"),
                (4, "'0.5' is neither 0 nor 1"),
                (5, "2 of 3 cells are 1, not one"),
            ],
        ),
        (
            "id,labels",
            ",ant bee",
            ["ant", "ant wasp", "bee bee", "ant bee cat"],
            [(3, "'wasp' is not a class"), (4, "'bee' is there twice"), (5, "3 labels, at most 2")],
        ),
        (
            "id,first,second",
            ",ant,bee",
            ["bee,ant", "bee,bee", "bee,gnu", "cat,ant"],
            [(3, "'bee' is there twice"), (4, "'gnu' is not a class")],
        ),
    ],
)
def test_each_format_says_which_rows_are_not_of_it(
    header: str,
    sample: str,
    rows: list[str],
    why: list[tuple[int, str]],
    tmp_path: Path,
    recwarn: pytest.WarningsRecorder,
) -> None:
    names = ("007", "1e5", "NA", '"a,b"')
    lines = [header, *(f"{name},{row}" for name, row in zip(names, rows, strict=True))]
    faults = [(line, detail) for line, _, detail in faults_of(tmp_path, lines, header=header, cells=sample)]
    assert faults == why


def test_positive_shares_are_numbers(tmp_path: Path) -> None:
    workspace = competition(tmp_path, cells=",0.5")
    (tmp_path / "data" / "train.csv").write_text("id,label,person\nt0,ant,p0\nt1,bee,p1\n")
    (tmp_path / "mine.csv").write_text('id,label\n007,0.1\n1e5,-1\nNA,1\n"a,b",inf\n')
    assert [fault.line for fault in check_submission(workspace, tmp_path / "mine.csv").faults] == [3, 5]


def test_several_labels_in_a_cell_are_checked_one_by_one(tmp_path: Path) -> None:
    workspace = competition(tmp_path, cells=",ant|bee", data={"label_separator": "|"})
    (tmp_path / "mine.csv").write_text('id,label\n007,ant|gnu\n1e5,bee|bee\nNA,cat\n"a,b",\n')
    report = check_submission(workspace, tmp_path / "mine.csv")
    assert report.format == "labels"
    assert [(fault.line, fault.detail) for fault in report.faults] == [
        (2, "'gnu' is not a class"),
        (3, "'bee' is there twice"),
        (5, "column 'label' is empty"),
    ]


def test_a_rankings_rows_are_checked_together(tmp_path: Path) -> None:
    workspace = competition(tmp_path)
    sample = [f"{name},{label},{rank}" for name in TEST[:3] for rank, label in enumerate(("ant", "bee"), 1)]
    (tmp_path / "data/sample_submission.csv").write_text("\n".join(["id,label,rank", *sample]) + "\n")
    lines = ["id,label,rank", *sample]
    (tmp_path / "mine.csv").write_text("\n".join(lines) + "\n")
    assert check_submission(workspace, tmp_path / "mine.csv") == ValidationReport(
        tmp_path / "mine.csv", "ranking", 6, ()
    )
    lines[2], lines[3] = "007,ant,2", "1e5,gnu,2"
    (tmp_path / "mine.csv").write_text("\n".join(lines) + "\n")
    assert [
        (fault.line, fault.detail) for fault in check_submission(workspace, tmp_path / "mine.csv").faults
    ] == [
        (2, "'ant' is there twice"),
        (4, "'gnu' is not a class"),
        (4, "rank '2' where 1 belongs"),
    ]
    (tmp_path / "mine.csv").write_text("\n".join(["id,label,rank", *sample[:-1]]) + "\n")
    assert check_submission(workspace, tmp_path / "mine.csv").faults[-1] == Issue(
        "D41", "has 1 of 2 rows", None, "NA"
    )


def test_a_teams_format_without_faults_of_its_own_is_searched_by_halves(tmp_path: Path) -> None:
    workspace = competition(tmp_path, format="upper", cells=",A")
    (tmp_path / "plugins" / "format").mkdir(parents=True)
    (tmp_path / "plugins" / "format" / "upper.py").write_text(
        "from kit.kinds import Format\n\n\nclass Upper(Format):\n"
        "    def matches(self, sample, classes):\n"
        "        return all(cell.isupper() for cell in sample.iloc[:, 1])\n"
    )
    (tmp_path / "mine.csv").write_text('id,label\n007,A\n1e5,b\nNA,C\n"a,b",d\n')
    faults = check_submission(workspace, tmp_path / "mine.csv").faults
    assert [(fault.line, fault.detail) for fault in faults] == [
        (3, "does not match format 'upper'"),
        (5, "does not match format 'upper'"),
    ]


@pytest.mark.parametrize(
    ("content", "code"),
    [("id,label\n007\n", "D27"), ("", "D29"), ("id;label\n007;ant\n", "D26"), ("a,a\n1,2\n", "D28")],
)
def test_a_file_that_is_no_table_is_not_valid(content: str, code: str, tmp_path: Path) -> None:
    workspace = competition(tmp_path)
    (tmp_path / "mine.csv").write_text(content)
    with pytest.raises(InvalidError) as caught:
        check_submission(workspace, tmp_path / "mine.csv")
    assert (caught.value.code, caught.value.exit_code) == (code, 4)
    with pytest.raises(DataError, match="D21 no table"):
        check_submission(workspace, tmp_path / "mime.csv")


def test_a_format_that_writes_one_row_an_id_is_refused_where_the_sample_has_several(tmp_path: Path) -> None:
    workspace = competition(tmp_path, format="label")
    (tmp_path / "data/sample_submission.csv").write_text("id,label\n007,ant\n007,bee\nNA,ant\nNA,bee\n")
    with pytest.raises(
        ConfigError, match="C21 the sample has several rows per id, but format 'label' writes one"
    ):
        check_submission(workspace, tmp_path / "mine.csv")


def in_cp1252(root: Path) -> Workspace:
    """A competition whose training table is cp1252 with the class `bé`, and whose sample is ASCII."""
    workspace = competition(root, data={"encoding": "cp1252"})
    for file in ("data/train.csv", "data/sample_submission.csv"):
        text = (root / file).read_text().replace("bee", "b\u00e9")
        (root / file).write_bytes(text.encode("cp1252"))
    return workspace


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_a_submission_is_read_as_utf_8_or_else_in_the_tables_encoding(encoding: str, tmp_path: Path) -> None:
    workspace = in_cp1252(tmp_path)
    text = 'id,label\n007,ant\n1e5,b\u00e9\nNA,cat\n"a,b",ant\n'
    (tmp_path / "mine.csv").write_bytes(text.encode(encoding))
    assert check_submission(workspace, tmp_path / "mine.csv").faults == ()


def test_what_kit_writes_passes_its_own_check_beside_tables_of_another_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    in_cp1252(tmp_path)
    write_run(tmp_path, "a", classes=("ant", "b\u00e9", "cat"))
    assert run(["blend", "a", "--name", "x"]) == 0
    assert "1e5,b\u00e9\n" in Path("submissions/0001-x.csv").read_text("utf-8")
    assert run(["submission", "check", "submissions/0001-x.csv"]) == 0


@pytest.mark.parametrize(
    ("content", "code"),
    [("id,label\n007,b\u00e9\n".encode("cp1252"), "D25"), (b'"id";"label"\n"007";"ant"\n', "D26")],
)
def test_a_submission_that_is_written_otherwise_is_to_be_saved_again(
    content: bytes, code: str, tmp_path: Path
) -> None:
    workspace = competition(tmp_path)
    (tmp_path / "mine.csv").write_bytes(content)
    with pytest.raises(InvalidError) as caught:
        check_submission(workspace, tmp_path / "mine.csv")
    assert caught.value.code == code
    assert caught.value.hint == "save it as CSV UTF-8, with ',' between the cells as in the sample"
    assert "data.sep" not in str(caught.value)


# --------------------------------------------------------------------------------------- the command


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    return competition(tmp_path)


def test_the_command_says_line_and_id_and_ends_with_4(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path("mine.csv")
    file.write_text("\n".join(GOOD) + "\n")
    assert run(["submission", "check", "mine.csv"]) == 0
    assert capsys.readouterr().out == "mine.csv matches data/sample_submission.csv: 4 rows, format label\n"
    file.write_text("\n".join([*GOOD[:3], "NA,wasp", "b,ant"]) + "\n")
    assert run(["submission", "check", "mine.csv"]) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "error: D44 mine.csv does not match the sample: 3 problems",
        "  mine.csv: line 4, id 'NA': 'wasp' is not a class",
        "  mine.csv: line 5, id 'b': is not in the sample",
        "  mine.csv: id 'a,b': is missing",
    ]


def test_json_lists_every_fault(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.csv").write_text("\n".join([*GOOD, *(f"x{n},ant" for n in range(9))]) + "\n")
    assert run(["submission", "check", "mine.csv", "--json"]) == 4
    said = json.loads(capsys.readouterr().out)
    assert (said["valid"], said["rows"], said["format"], len(said["faults"])) == (False, 13, "label", 9)
    assert said["faults"][8] == {"code": "D41", "detail": "is not in the sample", "line": 14, "id": "x8"}


def test_the_upload_is_printed_after_a_blend_and_for_a_number(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    line = (
        "kaggle competitions submit -c <competition> -f submissions/0001-x.csv "
        '-m "0001 x: mean of a@d4 b@plain, cv accuracy 1.0000"'
    )
    assert run(["blend", "a@d4", "b", "--name", "x"]) == 0
    assert f"upload: {line}\n" in capsys.readouterr().err
    assert run(["submission", "upload-command", "1"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{line}\n"
    assert '"kaggle" in config.json' in said.err
    config = json.loads((workspace.root / "config.json").read_text())
    (workspace.root / "config.json").write_text(json.dumps({**config, "kaggle": "leaf-classification"}))
    assert run(["submission", "upload-command", "1"]) == 0
    assert capsys.readouterr().out == line.replace("<competition>", "leaf-classification") + "\n"


def test_a_submission_that_is_not_there_has_no_command(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["submission", "upload-command", "3"]) == 2
    assert "C22 no submission 3 on the board" in capsys.readouterr().err
    assert run(["blend", "a", "--name", "x"]) == 0
    (workspace.submissions / "0001-x.csv").unlink()
    assert run(["submission", "upload-command", "1"]) == 2
    assert "0001-x.csv does not exist" in capsys.readouterr().err


def test_what_kit_writes_passes_its_own_check(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["blend", "a@d4", "b", "--name", "x"]) == 0
    assert run(["submission", "check", "submissions/0001-x.csv"]) == 0
    assert pd.read_csv("submissions/0001-x.csv", dtype=str, keep_default_na=False)["id"].tolist() == list(
        TEST
    )
