"""boxes: by hand for single maps, and for a planted object that the first stage has to find."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from kit.config.workspace import Workspace
from kit.data.table import train_table
from kit.errors import ConfigError
from kit.images.reader import ImageSource
from kit.model import checkpoints
from kit.stages.prediction.boxes import boxes, find_box, in_whole_image, make_square
from kit.stages.prediction.tta import tta
from kit.stages.training.train import train
from tests.conftest import Kit

COLOURS = ((220, 40, 40), (40, 40, 220))
SIDE, OBJECT = 48, 12


@pytest.fixture
def workspace(space: Path) -> Workspace:
    """Where the fixture `kit` runs commands."""
    return Workspace.open(space)


def draw(root: Path, rows: int = 40) -> dict[str, tuple[int, int]]:
    """Grey noise with a small square, whose colour is the class; the left top corner of each square."""
    rng = np.random.default_rng(0)
    (root / "data/images").mkdir(parents=True)
    corners, lines = {}, {"train": ["id,label"], "sample": ["id,label"]}
    for row in range(rows + 8):
        image = rng.integers(90, 160, (SIDE, SIDE, 1), dtype=np.uint8).repeat(3, axis=2)
        x, y = (int(n) for n in rng.integers(0, SIDE - OBJECT, 2))
        image[y : y + OBJECT, x : x + OBJECT] = COLOURS[row % 2]
        name = f"{row:03d}"
        cv2.imwrite(str(root / f"data/images/{name}.png"), image)
        corners[name] = (x, y)
        lines["train" if row < rows else "sample"].append(f"{name},{'ab'[row % 2]}")
    for table, text in lines.items():
        (root / f"data/{table}.csv").write_text("\n".join(text) + "\n")
    config = {
        "data": {"train": "data/train.csv", "sample": "data/sample.csv", "images": "data/images/{id}.png"},
        "image_size": SIDE,
        "backbone": {"name": "small", "width": 8, "stages": 2},
        "epochs": 8,
        "batch_size": 10,
        "splitter": {"name": "stratified_kfold", "folds": 2},
        "optimizer": {"name": "adamw", "lr": 0.01},
        "augmenter": "resize",
        "workers": 0,
    }
    (root / "config.json").write_text(json.dumps(config))
    return corners


def read(file: Path) -> dict[str, list[float]]:
    """The id of each row and its box in percent."""
    rows = list(csv.reader(file.read_text().splitlines()))
    assert rows[0] == ["id", "x", "y", "width", "height"]
    return {row[0]: [float(cell.rstrip("%")) for cell in row[1:]] for row in rows[1:]}


def test_the_boxes_of_a_run_hold_what_tells_the_classes_apart(tmp_path: Path) -> None:
    corners = draw(tmp_path)
    train(tmp_path, name="a")
    result = boxes(tmp_path, "runs/a")
    boxes_by_id = read(result.file)
    assert (result.rows, result.whole, set(boxes_by_id)) == ((40, 8), 0, set(corners))
    assert result.area < 0.35
    held = []
    for name, (x, y) in corners.items():
        centre_x, centre_y = 100 * (x + OBJECT / 2) / SIDE, 100 * (y + OBJECT / 2) / SIDE
        left, top, wide, tall = boxes_by_id[name]
        held.append(left <= centre_x <= left + wide and top <= centre_y <= top + tall)
    assert np.mean(held) > 0.9
    assert np.mean(held[40:]) > 0.8  # rows of the test table


def test_a_second_run_trains_on_the_crops(space: Path) -> None:
    boxes_by_id = read(boxes(space, "runs/a").file)
    opened = Workspace.open(space, ["data.box=boxes.csv"])
    table = train_table(space, opened.competition.data).sort_by_id()
    whole = cv2.imread(str(space / "data/images/003.png"))
    assert whole is not None
    across, down = whole.shape[1] / 100, whole.shape[0] / 100
    pixels = ImageSource.open(opened.competition.data).read(table.paths[3]).pixels
    x, y, wide, tall = boxes_by_id["003"]
    wanted = (round((y + tall) * down) - round(y * down), round((x + wide) * across) - round(x * across))
    assert pixels.shape[:2] == wanted
    changed = ["epochs=1", "data.box=boxes.csv", "data.box_margin=0.1"]
    train(space, name="b", overrides=changed)
    (result,) = tta(Workspace.open(space, changed), ["runs/b"])
    assert (result.folder / "test.parquet").is_file()
    with pytest.raises(ConfigError, match=r"trained with data\.box"):
        boxes(Workspace.open(space, changed), "runs/b")


def test_a_held_out_row_has_the_map_of_the_network_that_never_saw_it(
    space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the second fold's weights replaced, only the rows of that fold and the test rows change."""
    before = read(boxes(space, "runs/a", "before.csv").file)
    load = checkpoints.load

    def swap(path: Path) -> checkpoints.Checkpoint:
        return load(Path(str(path).replace("fold-1", "fold-0")))

    monkeypatch.setattr(checkpoints, "load", swap)
    after = read(boxes(space, "runs/a", "after.csv").file)
    folds = Workspace.open(space).path("runs/a/folds.csv").read_text().splitlines()[1:]
    of_fold = {line.split(",")[0]: line.split(",")[-1] for line in folds}
    changed = {name for name in before if before[name] != after[name]}
    assert {of_fold[name] for name in changed if name in of_fold} == {"1"}


def test_a_box_is_the_largest_region_of_the_enlarged_map() -> None:
    cam = np.zeros((8, 8), np.float32)
    cam[1:3, 2:6] = 0.5  # 8 places
    cam[6, 6] = 1.0  # brighter, but 1 place
    assert find_box(cam, 8, 0.4) == (2 / 8, 1 / 8, 4 / 8, 2 / 8)
    assert find_box(cam, 8, 0.6) == (6 / 8, 6 / 8, 1 / 8, 1 / 8)
    x, y, wide, tall = find_box(cam, 80, 0.49)
    assert (x + wide / 2, y + tall / 2) == pytest.approx((0.5, 0.25), abs=0.02)


@pytest.mark.parametrize(
    ("box", "square"),
    [
        ((0.25, 0.5, 0.5, 0.25), (0.25, 0.375, 0.5, 0.5)),
        ((0.0, 0.0, 0.25, 0.75), (0.0, 0.0, 0.75, 0.75)),  # at the border the square moves inside
        ((0.5, 0.75, 0.5, 0.25), (0.5, 0.5, 0.5, 0.5)),
        ((0.0, 0.25, 1.0, 0.5), (0.0, 0.0, 1.0, 1.0)),
    ],
)
def test_a_square_has_the_whole_box(
    box: tuple[float, float, float, float], square: tuple[float, float, float, float]
) -> None:
    assert make_square(box) == pytest.approx(square)


def test_a_row_has_a_square_box(space: Path) -> None:
    """Images of 3 to 2 px and more: a share of a side is another number of pixels."""
    for name, (_, _, wide, tall) in read(boxes(space, "runs/a").file).items():
        image = cv2.imread(str(space / "data" / "images" / f"{name}.png"))
        assert image is not None
        height, width = image.shape[:2]
        assert wide * width == pytest.approx(tall * height, abs=0.02 * max(height, width))


def test_a_box_of_the_middle_square_is_that_of_the_whole_image() -> None:
    """40 x 60 px, 0.9 of the short side: a square of 36 px at x 12, y 2."""
    box = in_whole_image((0.5, 0.25, 0.25, 0.5), 0.9, 40, 60)
    assert box.is_percent
    wanted = (100 * 30 / 60, 100 * 11 / 40, 100 * 9 / 60, 100 * 18 / 40)
    assert (box.x, box.y, box.width, box.height) == pytest.approx(wanted)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0])
def test_a_threshold_outside_0_to_1_is_refused(space: Path, threshold: float) -> None:
    with pytest.raises(ConfigError, match="C07"):
        boxes(space, "runs/a", threshold=threshold)


def test_the_command_writes_the_file_and_names_the_next_one(kit: Kit, space: Path) -> None:
    code, out, talk = kit("boxes", "runs/a", "--threshold", "0.3", "--json")
    assert code == 0
    assert json.loads(out)[0]["rows"] == [60, 12]
    assert (space / "boxes.csv").is_file()
    assert "kit train --name cropped data.box=boxes.csv" in talk
