"""Large members stand in memory maps; a blend of them is the same, and what is equal is held once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kit.core import memmaps
from kit.core.memmaps import drop_pages, empty_or_memmap
from kit.evaluation.crossfit import cross_fit
from kit.kinds import Ensembler
from kit.stages.blending import members
from kit.stages.blending.blend import Submitted, blend
from kit.stages.blending.members import read_members
from tests.drawn_members import drawn
from tests.written_runs import competition, write_run


def mapped(array: np.ndarray) -> bool:
    base: object = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return True
        base = base.base
    return False


def test_a_small_array_is_a_plain_one_and_no_file_is_made(tmp_path: Path) -> None:
    array = empty_or_memmap((2, 3, 4), tmp_path / "cache")
    assert (array.shape, mapped(array)) == ((2, 3, 4), False)
    assert array.dtype == np.float32
    assert not (tmp_path / "cache").exists()


def test_a_large_array_is_mapped_to_a_file_without_a_name(tmp_path: Path) -> None:
    array = empty_or_memmap((2, 3, 4), tmp_path / "cache", large=96)
    array[:] = 7
    assert mapped(array)
    assert array.sum() == 7 * 24
    assert type(array) is np.ndarray
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("mode", ["r+", "c"])
def test_what_was_written_is_there_after_a_release(tmp_path: Path, mode: str) -> None:
    np.full((3, 5000), 1, dtype=np.float32).tofile(tmp_path / "file")
    array = np.memmap(tmp_path / "file", dtype=np.float32, mode=mode, shape=(3, 5000))  # type: ignore[call-overload]
    array[1] = 2
    drop_pages(np.asarray(array)[0:2])
    assert (array[:, 0] == [1, 2, 1]).all()
    drop_pages(np.zeros(3))  # a plain array has nothing to give back


def test_large_members_blend_as_small_ones_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = blend(competition(tmp_path / "small"), ["a", "b"], "hill_climb")
    monkeypatch.setattr(memmaps, "MEMMAP_FROM_BYTES", 1)
    monkeypatch.setattr(members, "MEMMAP_FROM_BYTES_PER_MEMBER", 1)
    workspace = competition(tmp_path / "large")
    assert mapped(read_members(workspace, ["a"])[0].oof.probabilities)
    submission = blend(workspace, ["a", "b"], "hill_climb")
    assert isinstance(small, Submitted)
    assert isinstance(submission, Submitted)
    assert submission.path.read_text() == small.path.read_text()
    assert submission.comparison == small.comparison
    assert list((workspace.root / "cache").iterdir()) == []


def test_equal_ids_and_folds_are_held_once(tmp_path: Path) -> None:
    workspace = competition(tmp_path)
    write_run(tmp_path, "c", rows=range(8))
    a, b, c = read_members(workspace, ["a", "b", "c"])
    assert b.folds is a.folds
    assert b.oof.ids is a.oof.ids
    assert b.test.ids is a.test.ids
    assert c.oof.ids is not a.oof.ids
    assert c.test.ids is a.test.ids


def test_a_member_lets_its_out_of_fold_probabilities_go(tmp_path: Path) -> None:
    (member,) = read_members(competition(tmp_path), ["a"])
    light = member.without_oof()
    assert light.oof.probabilities.size == 0
    assert (light.oof.ids is member.oof.ids, light.oof.provenance == member.oof.provenance) == (True, True)
    assert light.test is member.test


def test_cross_fit_hands_over_members_each_in_one_piece() -> None:
    """numpy's own indexing may not, and reading across pieces makes a climb several times slower."""
    seen: list[bool] = []

    class Watching(Ensembler):
        def fit(self, members: np.ndarray, truth: np.ndarray) -> Watching:
            seen.append(members.flags.c_contiguous)
            return self

        def blend(self, members: np.ndarray) -> np.ndarray:
            seen.append(members.flags.c_contiguous)
            first: np.ndarray = members[0]
            return first

    probabilities, truth = drawn(members=3, rows=40)
    cross_fit(Watching(), probabilities, truth, np.arange(40) % 4)
    assert seen == [True] * 9
