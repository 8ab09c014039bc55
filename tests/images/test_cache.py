"""Images are decoded once, whatever is asked for later, and a damaged cache is rebuilt."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from filelock import FileLock

from kit.config.models import Data
from kit.core.cores import available_cores
from kit.core.progress import ResultOf, finish
from kit.errors import DataError, KitWarning, RunError
from kit.images import cache as stores
from kit.images.cache import Cache, FillResult, Geometry, fill_cache
from kit.images.reader import READER, ImageSource, read_image, resize
from kit.kinds import reader as readers

DATA = Data()
SMALL = Geometry(32)


def draw(path: Path, height: int = 48, width: int = 64, seed: int = 0) -> Path:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)
    return path


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [draw(tmp_path / "images" / f"{n}.png", 40 + n, 60, seed=n) for n in range(6)]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every image that is decoded."""
    calls: list[int] = []
    real = ImageSource.decode

    def counting(self: ImageSource, loaded: Any, least: int = 0) -> object:
        calls.append(least)
        return real(self, loaded, least)

    monkeypatch.setattr(ImageSource, "decode", counting)
    return calls


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled at once, so that their stat is trusted."""
    monkeypatch.setattr(stores, "MTIME_SETTLE_NS", -1)


def fill(tmp_path: Path, paths: Sequence[Path], geometry: Geometry = SMALL, data: Data = DATA) -> FillResult:
    return finish(fill_cache(tmp_path / "cache", paths, geometry, data, workers=2))


def expected(path: Path) -> np.ndarray:
    image = read_image(path, DATA)
    scale = 32 / min(image.shape[:2])
    return resize(image, round(image.shape[0] * scale), round(image.shape[1] * scale))


# --------------------------------------------------------------------------------------- what it holds


def test_a_row_is_its_image_with_the_short_side_at_the_cache_size(tmp_path: Path, paths: list[Path]) -> None:
    cache = fill(tmp_path, paths).cache
    assert len(cache) == 6
    for row, path in enumerate(paths):
        assert min(cache[row].shape[:2]) == 32
        assert np.array_equal(cache[row], expected(path))
        assert cache.hashes[row] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_images_are_read_only(tmp_path: Path, paths: list[Path]) -> None:
    image = fill(tmp_path, paths).cache[0]
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0, 0] = 1


def test_a_pickled_cache_is_small_and_opens_its_own_map(tmp_path: Path, paths: list[Path]) -> None:
    cache = fill(tmp_path, paths).cache
    first = cache[3].copy()
    content = pickle.dumps(cache)
    assert len(content) < 4000
    again: Cache = pickle.loads(content)
    assert np.array_equal(again[3], first)


def test_progress_ends_at_the_number_of_rows(tmp_path: Path, paths: list[Path]) -> None:
    work = ResultOf(fill_cache(tmp_path / "cache", paths, SMALL, DATA))
    steps = [(step.done, step.total) for step in work]
    assert steps == [(done, 6) for done in range(1, 7)]
    assert len(work.result.cache) == 6


def test_no_files_make_an_empty_cache(tmp_path: Path) -> None:
    filled = fill(tmp_path, [])
    assert (len(filled.cache), filled.bad) == (0, ())


@pytest.mark.parametrize(
    ("geometry", "shape"),
    [
        (Geometry(32), (32, 64)),
        (Geometry(32, "stretch"), (32, 32)),
        (Geometry(32, "pad"), (32, 32)),
        (Geometry(100), (100, 200)),
    ],
)
def test_the_geometry_gives_the_shape(geometry: Geometry, shape: tuple[int, int]) -> None:
    assert geometry.apply(np.zeros((50, 100, 3), np.uint8)).shape == (*shape, 3)


def test_padding_keeps_the_whole_image_in_the_middle() -> None:
    pixels = Geometry(32, "pad").apply(np.full((50, 100, 3), 200, np.uint8))
    assert (pixels[8:24] == 200).all()
    assert (pixels[:8] == 0).all()
    assert (pixels[24:] == 0).all()


@pytest.mark.parametrize("resize", ["short_side", "pad"])
def test_a_thin_image_does_not_blow_up(resize: str) -> None:
    pixels = Geometry(32, resize).apply(np.zeros((1, 9000, 3), np.uint8))  # type: ignore[arg-type]
    assert pixels.nbytes <= 3 * 9000
    assert Geometry(32).apply(np.zeros((2, 100, 3), np.uint8)).shape == (5, 256, 3)  # 8 times 32


# ------------------------------------------------------------------------------------ decoded only once


def test_a_second_run_decodes_nothing(tmp_path: Path, paths: list[Path], decoded: list[int]) -> None:
    fill(tmp_path, paths[:4])
    again = fill(tmp_path, paths)
    assert len(decoded) == 6
    assert np.array_equal(again.cache[1], expected(paths[1]))
    fill(tmp_path, paths[::-1])
    assert len(decoded) == 6


def test_settled_files_are_not_even_read(
    tmp_path: Path, paths: list[Path], settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, paths)

    def read(path: Path) -> bytes:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(readers, "read_image_bytes", read)
    assert np.array_equal(fill(tmp_path, paths).cache[2][:1], fill(tmp_path, paths[2:]).cache[0][:1])


def test_what_is_in_the_file_is_not_rewritten(tmp_path: Path, paths: list[Path]) -> None:
    file = fill(tmp_path, paths[:3]).cache.file
    before = file.read_bytes()
    assert fill(tmp_path, paths).cache.file == file
    assert file.read_bytes().startswith(before)
    assert len(file.read_bytes()) > len(before)


def test_equal_contents_share_their_pixels(tmp_path: Path, paths: list[Path], decoded: list[int]) -> None:
    copy = Path(shutil.copy(paths[0], tmp_path / "copy.jpg"))
    fill(tmp_path, paths)
    cache = fill(tmp_path, [*paths, copy, paths[0]]).cache
    assert cache.places[0].tolist() == cache.places[6].tolist() == cache.places[7].tolist()
    assert cache.hashes[0] == cache.hashes[6]
    assert len(decoded) == 6


def test_another_geometry_or_fill_colour_is_another_file(tmp_path: Path, paths: list[Path]) -> None:
    files = {
        fill(tmp_path, paths, geometry, data).cache.file
        for geometry in (SMALL, Geometry(40), Geometry(32, "pad"))
        for data in (DATA, Data(alpha_fill="black"))
    }
    assert len(files) == 6


def test_what_an_older_reader_made_is_not_taken(
    tmp_path: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is refused now may have been accepted then."""
    monkeypatch.setattr("kit.images.cache.READER", READER - 1)
    older = fill(tmp_path, paths).cache.file
    monkeypatch.undo()
    assert fill(tmp_path, paths).cache.file != older


def test_large_jpegs_are_decoded_whole_unless_asked_and_neither_is_taken_for_the_other(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jpg"
    image = np.random.default_rng(0).integers(0, 256, (128, 160, 3), dtype=np.uint8)
    cv2.imwrite(str(path), image)
    whole = fill(tmp_path, [path]).cache
    reduced = fill(tmp_path, [path], data=Data(jpeg_scaling=True)).cache
    assert whole.file != reduced.file
    assert np.array_equal(whole[0], expected(path))
    half = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_4), cv2.COLOR_BGR2RGB)
    assert np.array_equal(reduced[0], half)
    assert not np.array_equal(whole[0], reduced[0])


def test_a_changed_file_is_noticed_even_with_its_old_time(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.bmp", seed=1)  # all files of a size
    before = path.stat()
    first = fill(tmp_path, [path]).cache[0].copy()
    draw(path, seed=2)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    second = fill(tmp_path, [path]).cache[0]
    assert not np.array_equal(first, second)
    assert np.array_equal(second, expected(path))


def test_a_clock_that_goes_back_does_not_make_stats_trusted(
    tmp_path: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kit.images.cache.time.time_ns", lambda: 0)
    fill(tmp_path, paths)
    assert (tmp_path / "cache" / "hashes.json").read_text(encoding="utf-8") == "{}"


# ------------------------------------------------------------------------------------------------ faults


def test_unreadable_files_are_cases_and_the_others_are_kept(tmp_path: Path, paths: list[Path]) -> None:
    paths[1].write_bytes(b"")
    paths[4].unlink()
    filled = fill(tmp_path, paths)
    assert [(case.code, case.path) for case in filled.bad] == [("D01", str(paths[1])), ("D02", str(paths[4]))]
    assert sorted(filled.cache.bad) == [1, 4]
    assert filled.cache[5].shape[2] == 3
    with pytest.raises(DataError, match=r"4\.png: no image") as caught:
        filled.cache[4]
    assert caught.value.code == "D02"


def test_a_repaired_file_is_read_again(tmp_path: Path, paths: list[Path]) -> None:
    good = paths[1].read_bytes()
    paths[1].write_bytes(good[:100])
    assert [case.code for case in fill(tmp_path, paths).bad] == ["D05"]
    paths[1].write_bytes(good)
    assert fill(tmp_path, paths).bad == ()


def test_a_kind_of_repaired_image_is_warned_of_once(tmp_path: Path) -> None:
    paths = []
    for n in range(3):
        image = np.random.default_rng(n).integers(0, 256, (40, 40, 4), dtype=np.uint8)
        paths.append(tmp_path / f"{n}.png")
        cv2.imwrite(str(paths[-1]), image)
    with pytest.warns(KitWarning, match="W08 .*0.png.* and 2 more") as caught:
        fill(tmp_path, paths)
    assert len(caught) == 1


def index_of(filled: FillResult) -> Path:
    return filled.cache.file.with_name("index.npz")


DAMAGES = [
    "pixels gone", "pixels cut", "pixels flipped", "index gone", "index flipped", "index cut", "other schema",
    "hashes flipped", "tail of a killed process", "all gone",
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_rebuilt(
    tmp_path: Path, paths: list[Path], damage: str, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = fill(tmp_path, paths)
    pixels, index = filled.cache.file, index_of(filled)
    whole, listed = pixels.read_bytes(), index.read_bytes()
    if damage == "pixels gone":
        pixels.unlink()
    elif damage == "pixels cut":
        pixels.write_bytes(whole[: len(whole) // 2])
    elif damage == "pixels flipped":
        pixels.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    elif damage == "index gone":
        index.unlink()
    elif damage == "index flipped":
        index.write_bytes(listed[:400] + bytes([listed[400] ^ 1]) + listed[401:])
    elif damage == "index cut":
        index.write_bytes(listed[: len(listed) // 2])
    elif damage == "other schema":
        monkeypatch.setattr(stores, "SCHEMA", 99)
    elif damage == "hashes flipped":
        (tmp_path / "cache" / "hashes.json").write_text('{"a": 1', encoding="utf-8")
    elif damage == "tail of a killed process":
        pixels.write_bytes(whole + b"x" * 100)
    else:
        shutil.rmtree(tmp_path / "cache")
    again = fill(tmp_path, paths)
    assert again.bad == ()
    for row, path in enumerate(paths):
        assert np.array_equal(again.cache[row], expected(path))


def test_a_rebuilt_cache_has_another_file_so_an_old_reader_is_never_misled(
    tmp_path: Path, paths: list[Path]
) -> None:
    old = fill(tmp_path, paths)
    index_of(old).write_bytes(b"")
    assert fill(tmp_path, paths[::-1]).cache.file != old.cache.file
    with pytest.raises(RunError, match="was deleted while in use"):
        old.cache[0]


def test_what_was_decoded_before_an_interruption_is_kept(
    tmp_path: Path, paths: list[Path], decoded: list[int]
) -> None:
    work = fill_cache(tmp_path / "cache", paths, SMALL, DATA, workers=1)
    while next(work).done < 3:
        pass
    work.close()
    before = len(decoded)
    decoded.clear()
    fill(tmp_path, paths)
    assert len(decoded) <= 3
    assert before >= 3


def test_a_full_disk_is_said_and_leaves_a_cache_that_works(
    tmp_path: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match="disk full"):
            fill(tmp_path, paths)
    assert np.array_equal(fill(tmp_path, paths).cache[5], expected(paths[5]))


def test_another_process_that_fills_the_cache_is_waited_for(tmp_path: Path, paths: list[Path]) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    lock = FileLock(folder / ".lock")
    lock.acquire()
    work = fill_cache(folder, paths, SMALL, DATA)
    step = next(work)
    assert (step.detail, step.line) == ("another process is filling the cache", True)
    lock.release()
    assert len(finish(work).cache) == 6


def test_nothing_is_warned_of_for_plain_images(tmp_path: Path, paths: list[Path]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fill(tmp_path, paths)


def test_there_is_at_least_one_core() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
