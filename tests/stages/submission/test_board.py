"""The board ranks submissions, can be read in a spreadsheet, and loses nothing when many write at once."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from kit.errors import BusyError, ConfigError, DataError, KitWarning
from kit.stages.submission.board import Board, Entry
from tests.ranked import fork_server

ENTRY = Entry(
    number=1,
    name="mean-a-b",
    file="0001-mean-a-b.csv",
    cv=0.5,
    metric="macro_f1",
    better="higher",
    leaderboard=None,
    members="a@d4 b@d4",
    ensembler="mean",
    rows=9,
    created="2024-01-02T03:04:05+00:00",
)


def filled(folder: Path, *scores: float | None, **changes: Any) -> Board:
    board = Board.read(folder)
    for number, cv in enumerate(scores, 1):
        board = board.enter(replace(ENTRY, number=number, cv=cv, **changes))
    return board


def order(board: Board) -> list[int]:
    return [entry.number for entry in board.sort_entries()]


def test_a_folder_without_a_board_has_an_empty_one(tmp_path: Path) -> None:
    assert Board.read(tmp_path).sort_entries() == ()
    assert list(tmp_path.iterdir()) == []


def test_a_board_of_which_only_the_header_is_left_is_an_empty_one(tmp_path: Path) -> None:
    board = filled(tmp_path, 0.5)
    file = tmp_path / "board.csv"
    file.write_text(file.read_text().splitlines()[0] + "\n")
    assert Board.read(tmp_path).entries == ()
    assert (board.last, Board.read(tmp_path).last) == (1, 0)


def test_what_is_entered_is_read_again(tmp_path: Path) -> None:
    entry = replace(ENTRY, cv=1 / 3, leaderboard=0.1, notes='said "so", twice')
    Board.read(tmp_path).enter(entry)
    assert Board.read(tmp_path).entries == (entry,)


def test_a_higher_score_is_ranked_first(tmp_path: Path) -> None:
    assert order(filled(tmp_path, 0.5, 0.9, 0.7)) == [2, 3, 1]


def test_a_lower_score_is_ranked_first_where_lower_is_better(tmp_path: Path) -> None:
    assert order(filled(tmp_path, 0.5, 0.9, 0.7, better="lower")) == [1, 3, 2]


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_without_a_score_an_entry_comes_last_and_equal_ones_by_age(better: str, tmp_path: Path) -> None:
    assert order(filled(tmp_path, None, 0.5, 0.5, better=better)) == [2, 3, 1]


def test_scores_of_two_metrics_are_not_compared(tmp_path: Path) -> None:
    filled(tmp_path, 0.1, 0.2)
    board = Board.read(tmp_path).enter(replace(ENTRY, number=3, cv=0.01, metric="log_loss", better="lower"))
    assert order(board) == [3, 2, 1]
    assert [board.rank(number) for number in (1, 2, 3)] == [2, 1, 1]


def recorded(folder: Path, number: int, digest: str, **changes: Any) -> Entry:
    """An entry whose record says which rows it is scored on."""
    entry = replace(ENTRY, number=number, file=f"{number:04d}-x.csv", **changes)
    record = {"fingerprints": {"rows": digest}}
    (folder / f"{number:04d}-x.json").write_text(json.dumps(record))
    return entry


def test_scores_of_other_rows_are_ranked_apart(tmp_path: Path) -> None:
    board = Board.read(tmp_path)
    for entry in (
        recorded(tmp_path, 1, "all", rows=1198, cv=0.5),
        recorded(tmp_path, 2, "some", rows=799, cv=0.9),
        recorded(tmp_path, 3, "all", rows=1198, cv=0.6),
        recorded(tmp_path, 4, "others", rows=799, cv=0.8),
        recorded(tmp_path, 5, "all", rows=1198, cv=None),
        recorded(tmp_path, 6, "some", rows=799, cv=0.95),
    ):
        board = board.enter(entry)
    assert [entry.number for entry in board.entries if board.is_apart(entry)] == [2, 4, 6]
    assert order(board) == [3, 1, 4, 6, 2, 5]  # other rows of equal number are apart from one another, too
    assert {number: board.rank(number) for number in range(1, 7)} == {1: 2, 2: 2, 3: 1, 4: 1, 5: 3, 6: 1}
    assert [one.number for one in board.comparable_entries(board.entry(2))] == [6, 2]


def test_without_records_as_many_rows_count_as_the_same(tmp_path: Path) -> None:
    board = Board.read(tmp_path)
    for entry in (
        replace(ENTRY, number=1, rows=9),
        recorded(tmp_path, 2, "all", rows=9, cv=0.6),
        replace(ENTRY, number=3, rows=6, cv=0.7),
    ):
        board = board.enter(entry)
    assert [board.is_apart(entry) for entry in board.entries] == [False, False, True]
    assert order(board) == [2, 1, 3]


def test_rows_of_equal_number_are_those_of_more_and_then_newer_submissions(tmp_path: Path) -> None:
    board = Board.read(tmp_path)
    for entry in (recorded(tmp_path, 1, "old", cv=0.9), recorded(tmp_path, 2, "new", cv=0.5)):
        board = board.enter(entry)
    assert [board.is_apart(entry) for entry in board.entries] == [True, False]
    board = board.enter(recorded(tmp_path, 3, "old", cv=0.8))
    assert [board.is_apart(entry) for entry in board.entries] == [False, True, False]


def test_a_spreadsheet_finds_a_line_a_submission_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    filled(tmp_path, 0.9, 0.5)
    with (tmp_path / "board.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "number",
        "name",
        "file",
        "cv",
        "metric",
        "better",
        "leaderboard",
        "members",
        "ensembler",
        "rows",
        "created",
        "notes",
    ]
    assert [row["number"] for row in rows] == ["1", "2"]
    assert rows[0]["members"] == "a@d4 b@d4"
    assert rows[0]["leaderboard"] == ""


def test_what_a_spreadsheet_saved_is_read(tmp_path: Path) -> None:
    filled(tmp_path, 0.5)
    file = tmp_path / "board.csv"
    text = file.read_text().replace("\n", "\r\n")
    file.write_bytes(b"\xef\xbb\xbf" + text.replace(":05+00:00,", ":05+00:00,my own words").encode())
    (entry,) = Board.read(tmp_path).entries
    assert entry == replace(ENTRY, notes="my own words")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: text.replace(",", ";").encode(), "D26"),
        (
            lambda text: "\n".join(
                '"' + line.replace(",", '"\t"') + '"' for line in text.splitlines()
            ).encode(),
            "D26",
        ),
        (lambda text: text.replace("mean-a", "m\u00e9an-a").encode("cp1252"), "D25"),
        (lambda text: text.encode("utf-16"), "D25"),
    ],
)
def test_a_board_that_a_spreadsheet_saved_otherwise_does_not_blame_the_config(
    change: Callable[[str], bytes], code: str, tmp_path: Path
) -> None:
    filled(tmp_path, 0.5)
    file = tmp_path / "board.csv"
    file.write_bytes(change(file.read_text()))
    with pytest.raises(DataError) as caught:
        Board.read(tmp_path)
    assert caught.value.code == code
    assert caught.value.hint.startswith("save it as CSV UTF-8 with commas between the cells")
    assert "data." not in str(caught.value)


@pytest.mark.parametrize(
    ("metric", "value", "hint"),
    [
        ("macro_f1", 81.23, "kit board score 1 0.8123; kit board score 1 81.23 --force"),
        ("accuracy", -0.5, "kit board score 1 0.5; kit board score 1 -0.5 --force"),
        ("auc", 8123, "kit board score 1 8123 --force"),
        ("log_loss", -0.35, "kit board score 1 0.35; kit board score 1 -0.35 --force"),
    ],
)
def test_a_score_that_the_metric_cannot_have_is_refused(
    metric: str, value: float, hint: str, tmp_path: Path
) -> None:
    board = filled(tmp_path, 0.5, metric=metric)
    with pytest.raises(ConfigError) as caught:
        board.score(1, value)
    assert (caught.value.code, caught.value.exit_code) == ("C22", 2)
    assert f"{value:g} is not a possible {metric}" in caught.value.summary
    assert caught.value.hint.startswith(hint)
    assert Board.read(tmp_path).entries[0].leaderboard is None
    assert board.score(1, value, force=True).entries[0].leaderboard == value


def test_a_score_of_a_metric_without_limits_is_any_number(tmp_path: Path) -> None:
    assert filled(tmp_path, 0.5, metric="log_loss").score(1, 34.5).entries[0].leaderboard == 34.5
    filled(tmp_path / "other", 0.5, metric="no_such_metric").score(1, -81.23)


@pytest.mark.parametrize(
    "name",
    [
        1,
        "1",
        "0001",
        "0001-mean-a-b",
        "0001-mean-a-b.csv",
        "submissions/0001-mean-a-b.csv",
        "/home/x/submissions/0001-mean-a-b.json",
    ],
)
def test_a_submission_is_known_by_its_number_or_its_file(name: int | str, tmp_path: Path) -> None:
    board = filled(tmp_path, 0.5, 0.6)
    entry = replace(board.entries[1], file="0002-other.csv")
    board = replace(board, entries=(board.entries[0], entry))
    assert board.entry(name).number == 1
    with pytest.raises(ConfigError, match="no submission 0003-x on the board"):
        board.entry("0003-x.csv")


def test_the_leaderboard_is_recorded(tmp_path: Path) -> None:
    board = filled(tmp_path, 0.5, 0.9).score(1, 0.8123)
    assert {entry.number: entry.leaderboard for entry in board.entries} == {1: 0.8123, 2: None}
    assert Board.read(tmp_path).sort_entries() == board.sort_entries()
    assert board.score(1, 0.5).sort_entries()[1].leaderboard == 0.5


def test_a_number_that_is_not_on_the_board_is_an_error(tmp_path: Path) -> None:
    board = filled(tmp_path, 0.5, 0.9)
    with pytest.raises(ConfigError, match="C22 no submission 7 on the board") as caught:
        board.score(7, 0.5)
    assert caught.value.hint == "one of 1, 2"


def test_a_score_is_a_number(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a score must be a number, not nan"):
        filled(tmp_path, 0.5).score(1, float("nan"))


def test_columns_that_are_not_the_boards_are_named(tmp_path: Path) -> None:
    (tmp_path / "board.csv").write_text("number,nmae\n1,x\n")
    with pytest.raises(DataError, match=r"D37 .*board\.csv is not a board of kit") as caught:
        Board.read(tmp_path)
    assert str(caught.value.cases[0]) == "nmae: is not a column of the board"


def test_a_cell_that_is_no_number_is_named_by_its_line(tmp_path: Path) -> None:
    filled(tmp_path, 0.5)
    file = tmp_path / "board.csv"
    file.write_text(file.read_text().replace(",0.5,", ",half,"))
    with pytest.raises(DataError, match=r"board\.csv line 2: could not convert string to float: 'half'"):
        Board.read(tmp_path)


# ----------------------------------------------------------------------------------- merged by git


def merged(folder: Path, ours: Callable[[Board], Board], theirs: Callable[[Board], Board]) -> Board:
    """The board of 0.5 and 0.9 after two clones have changed it, and git has kept the lines of both."""
    filled(folder, 0.5, 0.9)
    file = folder / "board.csv"
    base = file.read_bytes()
    texts = {"base": base}
    for name, change in (("ours", ours), ("theirs", theirs)):
        file.write_bytes(base)
        change(Board.read(folder))
        texts[name] = file.read_bytes()
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    command = ["git", "merge-file", "--union", "-p", "ours", "base", "theirs"]
    file.write_bytes(subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout)
    return Board.read(folder)


def entered(number: int, name: str) -> Callable[[Board], Board]:
    entry = replace(ENTRY, number=number, cv=0.7, file=f"{number:04d}-{name}.csv", name=name)
    return lambda board: board.enter(entry)


git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@git
def test_submissions_that_two_clones_entered_are_all_there_after_a_merge(tmp_path: Path) -> None:
    board = merged(tmp_path, entered(3, "mine"), entered(4, "yours"))
    assert [entry.number for entry in board.entries] == [1, 2, 3, 4]
    assert order(board) == [2, 3, 4, 1]


@git
def test_two_submissions_of_one_number_are_distinguished_by_name(tmp_path: Path) -> None:
    board = merged(tmp_path, entered(3, "mine"), entered(3, "yours"))
    assert [entry.name for entry in board.entries] == ["mean-a-b", "mean-a-b", "mine", "yours"]
    with pytest.raises(ConfigError, match="C22 2 submissions have the number 3") as caught:
        board.score(3, 0.5)
    assert caught.value.hint == "give the name: 0003-mine, 0003-yours"
    entries = board.score("0003-yours", 0.5).entries
    assert [entry.leaderboard for entry in entries] == [None, None, None, 0.5]
    assert board.last == 3


@git
def test_scores_that_two_clones_recorded_are_joined(tmp_path: Path) -> None:
    board = merged(tmp_path, lambda board: board.score(1, 0.4), lambda board: board.score(2, 0.8))
    assert [(entry.number, entry.leaderboard) for entry in board.entries] == [(1, 0.4), (2, 0.8)]
    assert len((tmp_path / "board.csv").read_text().splitlines()) > 3  # the merge left lines double
    assert board.score(1, 0.4).entries == board.entries
    assert len((tmp_path / "board.csv").read_text().splitlines()) == 3


@git
def test_two_scores_of_one_submission_are_reported(tmp_path: Path) -> None:
    with pytest.warns(
        KitWarning, match="W17 submission 0001-mean-a-b has two leaderboard scores, 0.4 and 0.6"
    ):
        board = merged(tmp_path, lambda board: board.score(1, 0.4), lambda board: board.score(1, 0.6))
    assert [entry.leaderboard for entry in board.entries] == [0.6, None]


def test_lines_in_any_order_with_the_header_twice_are_read(tmp_path: Path) -> None:
    filled(tmp_path, 0.5, 0.9)
    file = tmp_path / "board.csv"
    header, first, second = file.read_text().splitlines()
    file.write_text("\n".join([header, second, header, first, second]) + "\n")
    assert [entry.number for entry in Board.read(tmp_path).entries] == [1, 2]


def test_notes_of_both_sides_are_kept(tmp_path: Path) -> None:
    filled(tmp_path, 0.5)
    file = tmp_path / "board.csv"
    header, line = file.read_text().splitlines()
    file.write_text("\n".join([header, f"{line}first", f"{line}second", f"{line}first"]) + "\n")
    assert [entry.notes for entry in Board.read(tmp_path).entries] == ["first; second"]


def test_marks_of_a_merge_that_git_did_not_finish_are_named(tmp_path: Path) -> None:
    filled(tmp_path, 0.5)
    file = tmp_path / "board.csv"
    header, line = file.read_text().splitlines()
    file.write_text("\n".join([header, "<<<<<<< HEAD", line, "=======", line, ">>>>>>> b"]) + "\n")
    with pytest.raises(DataError, match="D37 .* has git conflict markers on lines 2, 4, 6"):
        Board.read(tmp_path)


def test_git_is_reported_to_keep_the_lines_of_both_sides(tmp_path: Path) -> None:
    filled(tmp_path, 0.5)
    assert (tmp_path / ".gitattributes").read_text() == "board.csv merge=union\n"
    assert (Path(__file__).parents[3] / ".gitattributes").read_text() == "submissions/board.csv merge=union\n"


def test_the_last_submission_can_be_taken_off_the_board(tmp_path: Path) -> None:
    entry, board = filled(tmp_path, 0.9, 0.5).undo()
    assert entry.number == 2
    assert order(board) == order(Board.read(tmp_path)) == [1]


# ------------------------------------------------------------------------------------- many writers


def _enter_five(folder: Path, start: int) -> None:
    for number in range(start, start + 5):
        Board.read(folder).enter(replace(ENTRY, number=number, cv=number / 100))


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = fork_server()
    workers = [context.Process(target=_enter_five, args=(tmp_path, start)) for start in range(1, 41, 5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 8
    assert order(Board.read(tmp_path)) == list(range(40, 0, -1))


def test_a_writer_that_never_ends_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.stages.submission.submission.LOCK_TIMEOUT_S", 0.05)
    other = FileLock(tmp_path / ".board.lock")  # as another process would hold it
    with other, pytest.raises(BusyError, match="R08 another process has been writing"):
        filled(tmp_path, 0.5)
