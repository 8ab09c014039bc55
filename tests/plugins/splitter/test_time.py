"""The splitter by time: what is earlier trains, and no group straddles a border."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.config.workspace import Workspace
from kit.data.folds import Folds, make_folds
from kit.data.predictions import Predictions
from kit.data.table import Table
from kit.errors import DataError
from kit.kinds import Splitter
from kit.plugins.splitter._timestamps import parse_times
from kit.plugins.splitter.time import borders
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train
from tests.blends import submit_blend
from tests.drawing import draw_competition


def table(when: list[str], groups: list[str] | None = None) -> Table:
    """Rows r000, r001 ... of one class, with a column `day`."""
    ids = [f"r{row:03d}" for row in range(len(when))]
    return Table(
        np.array(ids),
        tuple(Path("nowhere") / name for name in ids),
        ("a",),
        np.zeros(len(when), int),
        None if groups is None else np.array(groups),
        frame=pd.DataFrame({"day": when}),
    )


def by_time(folds: int) -> Splitter:
    return Splitter.open({"name": "time", "column": "day", "folds": folds})


def rows_of(folds: Folds, splitter: Splitter, fold: int) -> tuple[list[int], list[int]]:
    """The rows that a fold trains on and holds out."""
    return (
        np.flatnonzero(folds.training_mask(splitter, fold)).tolist(),
        np.flatnonzero(folds.oof_mask(fold)).tolist(),
    )


@pytest.mark.parametrize("folds", [1, 2, 5])
def test_it_is_as_sklearns_time_series_split(folds: int) -> None:
    from sklearn.model_selection import TimeSeriesSplit

    order = np.random.default_rng(0).permutation(60)  # row number -> its time
    at, splitter = np.argsort(order), by_time(folds)
    assignment = make_folds(table([str(time) for time in order]), splitter, 0)
    assert assignment.count == folds
    for fold, (trained, held) in enumerate(
        TimeSeriesSplit(folds).split(order) if folds > 1 else [(range(30), range(30, 60))]
    ):
        mine = rows_of(assignment, splitter, fold)
        assert mine == (sorted(at[list(trained)].tolist()), sorted(at[list(held)].tolist()))


def test_the_earliest_chunk_is_never_held_out() -> None:
    folds = make_folds(table(["2024-01-03", "2024-01-01", "2024-01-02"]), by_time(2), 0)
    assert folds.numbers[:, 0].tolist() == [1, -1, 0]


def test_a_group_that_straddles_a_border_is_purged_from_what_trains_before() -> None:
    when = ["1", "2", "3", "4", "5", "6", "7", "8", "9"]
    groups = ["a", "straddles", "b", "c", "straddles", "d", "e", "f", "g"]
    splitter = by_time(2)
    folds = make_folds(table(when, groups), splitter, 0)
    assert folds.numbers[:, 0].tolist() == [-1, 0, -1, -1, 0, 0, 1, 1, 1]
    assert rows_of(folds, splitter, 0) == ([0, 2, 3], [1, 4, 5])  # row 1 is early, and does not train
    assert rows_of(folds, splitter, 1) == ([0, 1, 2, 3, 4, 5], [6, 7, 8])


def test_no_fold_trains_on_what_is_as_late_as_what_it_holds_out() -> None:
    rng = np.random.default_rng(1)
    when = rng.integers(30, size=200)
    groups = rng.integers(60, size=200)
    splitter = by_time(4)
    folds = make_folds(table(when.astype(str).tolist(), groups.astype(str).tolist()), splitter, 0)
    last = {group: when[groups == group].max() for group in set(groups.tolist())}
    for fold in range(4):
        trained, held = rows_of(folds, splitter, fold)
        assert max(when[trained]) < min(last[group] for group in groups[held].tolist())
        assert not set(groups[trained].tolist()) & set(groups[held].tolist())


def test_rows_of_one_time_stay_together() -> None:
    folds = make_folds(table(["1", "1", "1", "1", "2", "3"]), by_time(2), 0)
    assert folds.numbers[:, 0].tolist() == [-1, -1, -1, -1, 0, 1]


def test_chunks_are_as_equal_as_whole_moments_allow() -> None:
    assert borders(np.array([1, 1, 1, 1, 1, 1]), 2) == [2, 4]
    assert borders(np.array([10, 1, 1]), 2) == [1, 2]
    assert borders(np.array([1, 1, 10]), 2) == [1, 2]
    assert borders(np.array([2, 5, 3, 4]), 1) == [2]


@pytest.mark.parametrize(
    ("when", "groups", "words"),
    [
        (["1", "2", "2", "1"], None, "2 times in column 'day' cannot make 3 chunks"),
        (["1", "2", "3", "4"], ["a", "a", "a", "a"], "1 times at which groups end"),
    ],
)
def test_too_few_times_are_refused(when: list[str], groups: list[str] | None, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        make_folds(table(when, groups), by_time(2), 0)
    assert caught.value.code == "D35"


def test_numbers_and_dates_are_read_and_compared() -> None:
    def read(*texts: str) -> list[float]:
        times: list[float] = parse_times(list(texts), list(texts), "day").tolist()
        return times

    assert read("2", "10", "-1.5", "1e3") == [2, 10, -1.5, 1000]
    first, second = read("1970-01-02", "1970-01-02T01:00+01:00")
    assert (first, second) == (86400, 86400)


@pytest.mark.parametrize("wrong", ["", "soon", "nan", "inf", "2024-13-01"])
def test_a_cell_that_is_no_time_is_named(wrong: str) -> None:
    with pytest.raises(DataError, match="1 cells of column 'day' are no time") as caught:
        make_folds(table(["2024-01-01", wrong, "2024-01-02"]), by_time(1), 0)
    assert caught.value.code == "D31"
    assert [case.id for case in caught.value.cases] == ["r001"]


def test_numbers_among_dates_are_named() -> None:
    with pytest.raises(DataError, match="2 cells of column 'day'"):
        make_folds(table(["2024-01-01", "3.5", "4.5"]), by_time(1), 0)


def test_the_whole_road_holds_where_the_earliest_rows_are_never_predicted(tmp_path: Path) -> None:
    root = draw_competition(
        tmp_path / "space", splitter={"name": "time", "column": "id", "folds": 2}, epochs=1
    )
    config = json.loads((root / "config.json").read_text())
    (root / "config.json").write_text(
        json.dumps({**config, "data": {**config.get("data", {}), "group": "person"}})
    )
    run = train(root, name="a")
    tta(root, [run.folder], "hflip")
    predictions = Predictions.read(run.predictions("hflip") / "oof.parquet")
    expected = {
        f"{row:03d}": 0 if row < 42 else 1 for row in range(18, 60)
    }  # ten people, 6 rows each: 3, 4 and 3
    assert dict(zip(predictions.ids.tolist(), predictions.folds.tolist(), strict=True)) == expected
    submitted = submit_blend(Workspace.open(root), ["runs/a@hflip"])
    assert (submitted.rows, submitted.test_rows) == (42, 12)
