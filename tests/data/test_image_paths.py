"""PathList: paths in one string are the same paths."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from kit.data.image_paths import PathList

PATHS = [Path("/a/b.jpg"), Path("c"), Path("/d/é 你.png"), Path("/e/\udcff.jpg"), Path("/a/b.jpg")]


def test_paths_come_back_by_position_and_in_order() -> None:
    paths = PathList(PATHS)
    assert list(paths) == PATHS
    assert [paths[at] for at in range(-5, 5)] == PATHS + PATHS
    assert paths == PATHS
    assert paths == PathList(PATHS)
    assert paths[1:4] == PATHS[1:4]
    assert paths != PATHS[:4]
    assert list(PathList()) == []
    assert pickle.loads(pickle.dumps(paths)) == PATHS


@pytest.mark.parametrize("at", [5, -6])
def test_there_are_no_others(at: int) -> None:
    with pytest.raises(IndexError):
        PathList(PATHS)[at]


def test_a_path_takes_little_more_than_its_text() -> None:
    many = PathList(f"/data/images/{number:06d}.jpg" for number in range(10_000))
    assert len(pickle.dumps(many)) < 10_000 * 32


def test_some_paths_are_taken_in_their_order() -> None:
    places = [2, 0, 2]
    assert list(PathList(PATHS).take(places)) == [Path(PATHS[place]) for place in places]
    assert list(PathList(PATHS).take([])) == []
