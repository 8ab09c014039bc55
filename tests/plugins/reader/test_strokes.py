"""strokes: pixels are white by their distance from the lines, and drawings fit into the image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.stages.discovery.file_scan import scan
from tests.plugins.reader.read import read, refusal

# a square and a diagonal that fill 0 to 100: with side 107 and lines of 3, a point is 3 pixels further
STROKES = [[[0, 100, 100, 0, 0], [0, 0, 100, 100, 0]], [[0, 100], [0, 100]]]
SIDE = [107, 107]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    timed = [[*stroke, list(range(len(stroke[0])))] for stroke in STROKES]
    rows = {"key_id": ["9000003627287624", "7"], "drawing": [json.dumps(STROKES), json.dumps(timed)]}
    pd.DataFrame({**rows, "word": "square"}).to_csv(tmp_path / "train.csv", index=False)
    return tmp_path / "train.csv"


def distances(strokes: Sequence[Sequence[Sequence[float]]], side: int) -> np.ndarray:
    """The distance of each pixel of a square image to the nearest line, (side, side)."""
    rows, columns = np.mgrid[:side, :side]
    pixels = np.stack([columns, rows], axis=-1).astype(float)
    to_lines = []
    for xs, ys in strokes:
        for start, end in pairwise(np.array([xs, ys], float).T):
            along = np.clip((pixels - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)
            to_lines.append(np.linalg.norm(pixels - (start + along[:, :, None] * (end - start)), axis=-1))
    nearest: np.ndarray = np.min(to_lines, axis=0)
    return nearest


@pytest.mark.parametrize("key", ["key_id/9000003627287624", "key_id/7", "0"])
def test_pixels_as_near_to_a_line_as_half_its_width_are_white(table: Path, key: str) -> None:
    picture = read(f"{table}::{key}", "strokes", 1, size=SIDE)[:, :, 0]
    far = distances([[[value + 3 for value in line] for line in stroke] for stroke in STROKES], 107)
    assert picture[far <= 1].min() == 255
    assert picture[far > 2].max() == 0


def test_a_drawing_is_grey_or_rgb_of_any_size(table: Path) -> None:
    assert read(f"{table}::0", "strokes").shape == (256, 256, 3)
    assert read(f"{table}::0", "strokes", size=[20, 30]).shape == (20, 30, 3)
    assert refusal(f"{table}::0", "strokes", size=[99999, 99999]).startswith("D10 size has more pixels")


def test_colours_show_the_order_of_strokes_and_points(table: Path) -> None:
    picture = read(f"{table}::0", "strokes", size=SIDE, colour="time", line=1)
    # strokes 0 and 1: red 255 and 51; points 1 to 4 of 4 sides: green 204, 153, 102, 51; the diagonal ends it
    assert picture[1, 50].tolist() == [255, 204, 255]
    assert picture[50, 105].tolist() == [255, 153, 255]
    assert picture[105, 50].tolist() == [255, 102, 255]
    assert picture[50, 1].tolist() == [255, 51, 255]
    assert picture[30, 30].tolist() == [51, 51, 255]
    assert picture[10, 60].tolist() == [0, 0, 0]


def test_a_drawing_keeps_its_proportions_in_the_middle(tmp_path: Path) -> None:
    cells = [json.dumps([[[500, 700], [40, 40]]]), json.dumps([[[5], [5]]])]
    pd.DataFrame({"drawing": cells}).to_csv(tmp_path / "a.csv", index=False)
    picture = read(tmp_path / "a.csv::0", "strokes", 1, size=[41, 61], line=1)[:, :, 0]
    assert np.flatnonzero(picture.any(axis=1)).tolist() == [20]
    assert np.flatnonzero(picture[20]).tolist() == list(range(1, 60))
    point = read(tmp_path / "a.csv::1", "strokes", 1, size=[41, 61], line=1)[:, :, 0]
    assert [each.tolist() for each in np.nonzero(point)] == [[20], [30]]


def test_json_rows_hold_strokes_too(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"key": "a", "ink": STROKES}]))
    picture = read(tmp_path / "a.json::key/a", "strokes", 1, size=SIDE, columns=["ink"])
    assert picture[53, 53, 0] == 255
    assert refusal(tmp_path / "a.json::0", "strokes").startswith("D15 no column 'drawing' of strokes")


def test_kit_init_tells_strokes_from_polygons_and_texts(tmp_path: Path) -> None:
    cells = {
        "strokes": json.dumps(STROKES),
        "polygon": "[[[0, 0], [9, 0], [9, 9]]]",
        "holes": "[[[0, 0], [9, 0], [9, 9], [0, 9]], [[1, 1], [2, 1], [2, 2]]]",
        "text": "[[[1, 2], [unfinished",
        "pixels": "[[[1, 2, 3, 4]]]",
    }
    for name, cell in cells.items():
        pd.DataFrame({"id": [1, 2], name: cell}).to_csv(tmp_path / "a.csv", index=False)
        assert bool(scan(tmp_path, (".jpg",)).pixel_tables) == (name == "strokes"), name


@pytest.mark.parametrize(
    "cell",
    ["", "[]", "[[[1],[2,3]]]", "[[1,2]]", "[[[]]]", '[["a","b"]]', "[[[NaN],[1]]]", "[" * 9999, "{", "7"],
)
def test_a_cell_without_strokes_is_refused(tmp_path: Path, cell: str) -> None:
    pd.DataFrame({"key": [1], "drawing": [cell]}).to_csv(tmp_path / "a.csv", index=False)
    assert refusal(tmp_path / "a.csv::0", "strokes").startswith("D05 a cell holds no strokes")
    assert refusal(tmp_path / "a.csv::1", "strokes").startswith("D02")


def test_numbers_without_bounds_are_drawn(tmp_path: Path) -> None:
    pd.DataFrame({"drawing": ["[[[-1e308, 1e308], [0, 1e-300]]]"]}).to_csv(tmp_path / "a.csv", index=False)
    assert read(tmp_path / "a.csv::0", "strokes", 1).max() == 255
