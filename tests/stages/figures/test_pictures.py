"""Pictures: the grid holds the pixels that were given, and augmented rows are what training would draw."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.errors import DataError
from kit.experiment.fold_training import train_stages
from kit.experiment.run_context import prepare_run
from kit.runs.run import find_run
from kit.stages.figures.pictures import CELL, GAP, LINE, AugmentedRow, arrange_grid, augment_rows, write_png


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def strips(size: int, count: int = 2, variants: int = 3, name: str = "a") -> list[AugmentedRow]:
    return [
        AugmentedRow(
            f"{name}{n}",
            "cat",
            noise(size, size, n),
            tuple(noise(size, size, 10 * n + k) for k in range(variants)),
        )
        for n in range(count)
    ]


def cell(picture: np.ndarray, row: int, column: int, side: int) -> np.ndarray:
    top = 2 * LINE + GAP + row * (LINE + side + GAP)
    left = GAP + column * (side + GAP)
    return picture[top : top + side, left : left + side]


def test_each_image_is_in_its_row_and_column_originals_at_the_left() -> None:
    given = strips(100)
    picture = arrange_grid(given)
    assert picture.dtype == np.uint8
    assert picture.shape[1] == GAP + 4 * (100 + GAP)
    for row, strip in enumerate(given):
        for column, image in enumerate((strip.original, *strip.variants)):
            assert np.array_equal(cell(picture, row, column, 100), image)


def test_small_images_are_enlarged_by_a_whole_number() -> None:
    given = strips(40)
    shown = cell(arrange_grid(given), 1, 2, 120)  # the least multiple of 40 from CELL on
    assert CELL == 96
    assert np.array_equal(shown[::3, ::3], given[1].variants[1])
    assert np.array_equal(shown, np.kron(given[1].variants[1], np.ones((3, 3, 1), np.uint8)))


def test_an_original_keeps_its_shape_on_paper() -> None:
    dark = np.zeros((50, 200, 3), np.uint8)
    shown = cell(arrange_grid([AugmentedRow("a", "cat", dark, (noise(100, 100),))]), 0, 0, 100)
    assert (shown[38:62] == 0).all()
    assert (shown[:37] == 255).all()
    assert (shown[63:] == 255).all()


@pytest.mark.parametrize("name", ["short", "w" * 500, "사과 🍎\n상자"])
def test_captions_are_written_above_their_rows_and_never_over_images(name: str) -> None:
    given = strips(100, name=name)
    picture, bare = (
        arrange_grid(given, "title"),
        arrange_grid([AugmentedRow("", "", s.original, s.variants) for s in given]),
    )
    differ = (picture != bare).any(axis=2)
    line = LINE + GAP
    assert differ[line : line + LINE].any()
    assert not differ[:, -GAP:].any()
    for row in range(2):
        assert not any(cell(differ, row, column, 100).any() for column in range(4))


def test_a_png_has_the_pixels_that_were_given(tmp_path: Path) -> None:
    picture = noise(30, 40)
    write_png(tmp_path / "deep" / "look.png", picture)
    read = cv2.imread(str(tmp_path / "deep" / "look.png"))
    assert read is not None
    assert np.array_equal(read[..., ::-1], picture)
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["look.png"]


def test_variants_are_what_the_first_epochs_of_fold_0_train_on(competition: Path) -> None:
    workspace = Workspace.open(competition, ["augmenter=heavy", "workers=0"])
    shown = augment_rows(workspace, rows=40, variants=2)
    setting = finish(prepare_run(workspace, find_run(workspace)))
    batches = train_stages(setting, 0)[0].batches
    compared = 0
    for epoch in range(2):
        trained = {
            str(setting.loaded.table.ids[row]): image.permute(1, 2, 0).numpy()
            for batch in batches.epoch(epoch)
            for row, image in zip(batch.rows.tolist(), batch.images, strict=True)
        }
        for strip in shown:
            if strip.id in trained:
                assert np.array_equal(strip.variants[epoch], trained[strip.id])
                compared += 1
    assert compared >= 20


def test_rows_are_of_the_training_table_each_once_and_seeds_draw_others(competition: Path) -> None:
    workspace = Workspace.open(competition)
    first, again, other = (augment_rows(workspace, 5, 1, seed) for seed in (None, 0, 1))
    ids = [strip.id for strip in first]
    assert ids == sorted(set(ids))
    assert len(ids) == 5
    assert [strip.id for strip in again] == ids
    assert [strip.id for strip in other] != ids
    lines = (competition / "data" / "train.csv").read_text().splitlines()
    labels = dict(line.split(",")[:2] for line in lines[1:])
    assert all(labels[strip.id] == strip.label for strip in first)
    assert first[0].original.shape == (20, 20, 3)  # as the cache holds it


def test_more_rows_than_there_are_shows_them_all(competition: Path) -> None:
    assert len(augment_rows(Workspace.open(competition), 100, 1)) == 60


def test_only_the_drawn_rows_are_read(competition: Path) -> None:
    workspace = Workspace.open(competition)
    drawn = {strip.id for strip in augment_rows(workspace, 3, 1)}
    for image in (competition / "data" / "images").glob("0[0-5]?.png"):
        if image.stem not in drawn:
            image.write_bytes(b"no image")
    assert {strip.id for strip in augment_rows(workspace, 3, 1)} == drawn


def test_bad_images_stop_it_or_are_left_out_as_in_training(competition: Path) -> None:
    workspace = Workspace.open(competition)
    drawn = [strip.id for strip in augment_rows(workspace, 3, 1)]
    for name in drawn[:2]:
        (competition / "data" / "images" / f"{name}.png").write_bytes(b"")
    with pytest.raises(DataError, match="D01 2 of 3 train images"):
        augment_rows(workspace, 3, 1)
    lenient = Workspace.open(competition, ["data.on_unreadable_train=skip"])
    with pytest.warns(UserWarning, match="excluded from training"):
        assert [strip.id for strip in augment_rows(lenient, 3, 1)] == drawn[2:]
    (competition / "data" / "images" / f"{drawn[2]}.png").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="excluded from training"),
        pytest.raises(DataError, match="none of the sampled rows"),
    ):
        augment_rows(lenient, 3, 1)
