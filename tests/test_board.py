"""The board ranks submissions, can be read in a spreadsheet, and loses nothing when many write at once."""

from __future__ import annotations

import csv
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from kit.board import Board, Entry
from kit.errors import BusyError, ConfigError, DataError
from kit.submission import locked

ENTRY = Entry(
    number=1, name="mean-a-b", file="0001-mean-a-b.csv", cv=0.5, metric="macro_f1", better="higher", leaderboard=None,
    members="a@d4 b@d4", ensembler="mean", rows=9, created="2024-01-02T03:04:05+00:00",
)  # fmt: skip


def filled(folder: Path, *scores: float | None, **changes: str) -> Board:
    board = Board.read(folder)
    for number, cv in enumerate(scores, 1):
        board = board.enter(replace(ENTRY, number=number, cv=cv, **changes))
    return board


def order(board: Board) -> list[int]:
    return [entry.number for entry in board.ranked()]


def test_a_folder_without_a_board_has_an_empty_one(tmp_path: Path) -> None:
    assert Board.read(tmp_path).ranked() == ()
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


def test_a_spreadsheet_finds_the_ranking(tmp_path: Path) -> None:
    filled(tmp_path, 0.5, 0.9)
    with (tmp_path / "board.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "number", "name", "file", "cv", "metric", "better", "leaderboard", "members", "ensembler", "rows", "created",
        "notes",
    ]  # fmt: skip
    assert [row["number"] for row in rows] == ["2", "1"]
    assert rows[0]["members"] == "a@d4 b@d4"
    assert rows[0]["leaderboard"] == ""


def test_what_a_spreadsheet_saved_is_read(tmp_path: Path) -> None:
    filled(tmp_path, 0.5)
    file = tmp_path / "board.csv"
    text = file.read_text().replace("\n", "\r\n")
    file.write_bytes(b"\xef\xbb\xbf" + text.replace(":05+00:00,", ":05+00:00,my own words").encode())
    (entry,) = Board.read(tmp_path).entries
    assert entry == replace(ENTRY, notes="my own words")


def test_the_leaderboard_is_recorded(tmp_path: Path) -> None:
    board = filled(tmp_path, 0.5, 0.9).score(1, 0.8123)
    assert {entry.number: entry.leaderboard for entry in board.entries} == {1: 0.8123, 2: None}
    assert Board.read(tmp_path).ranked() == board.ranked()
    assert board.score(1, 0.5).ranked()[1].leaderboard == 0.5


def test_a_number_that_is_not_on_the_board_is_an_error(tmp_path: Path) -> None:
    board = filled(tmp_path, 0.5, 0.9)
    with pytest.raises(ConfigError, match="C22 no submission 7 on the board") as caught:
        board.score(7, 0.5)
    assert caught.value.hint == "one of 1, 2"


def test_a_score_is_a_number(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a score is a number, not nan"):
        filled(tmp_path, 0.5).score(1, float("nan"))


def test_columns_that_are_not_the_boards_are_named(tmp_path: Path) -> None:
    (tmp_path / "board.csv").write_text("number,nmae\n1,x\n")
    with pytest.raises(DataError, match=r"D37 .*board\.csv is no board of kit") as caught:
        Board.read(tmp_path)
    assert str(caught.value.cases[0]) == "nmae: is no column of it"


def test_a_cell_that_is_no_number_is_named_by_its_line(tmp_path: Path) -> None:
    filled(tmp_path, 0.5)
    file = tmp_path / "board.csv"
    file.write_text(file.read_text().replace(",0.5,", ",half,"))
    with pytest.raises(DataError, match=r"board\.csv line 2: could not convert string to float: 'half'"):
        Board.read(tmp_path)


def _enter_ten(folder: Path, start: int) -> None:
    for number in range(start, start + 10):
        Board.read(folder).enter(replace(ENTRY, number=number, cv=number / 100))


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_enter_ten, args=(tmp_path, start)) for start in (1, 11)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert order(Board.read(tmp_path)) == list(range(20, 0, -1))


def test_a_writer_that_never_ends_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.submission.WAIT", 0.05)
    with locked(tmp_path), pytest.raises(BusyError, match="another process has been writing"):
        filled(tmp_path, 0.5)
