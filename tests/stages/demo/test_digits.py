"""The digits competition: real scans as files, the answers apart, a submission scored against them."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits

from kit.config.workspace import Workspace
from kit.data.table import sample_frame, test_table, train_table
from kit.stages.demo.digits import make_digits, score_answers


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("digits")
    return root, make_digits(root)


def test_it_is_a_workspace_whose_tables_read(digits: tuple[Path, Path]) -> None:
    space = Workspace.open(digits[0])
    train = train_table(space.root, space.competition.data)
    test = test_table(space.root, space.competition.data, train.classes)
    assert (len(train), len(test)) == (1198, 599)
    assert train.classes == tuple("0123456789")
    assert not set(train.ids.tolist()) & set(test.ids.tolist())
    assert set(sample_frame(space.root, space.competition.data).iloc[:, 1]) == {"0"}


def test_the_images_are_the_scans(digits: tuple[Path, Path]) -> None:
    """Shrunk back to 8 x 8, the first training image is one of scikit-learn's scans of its digit."""
    root, _ = digits
    name, digit = list(csv.reader((root / "data" / "train.csv").read_text().splitlines()))[1]
    image = cv2.imread(str(root / "data" / "images" / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
    small = cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA).astype(float) / (255 / 16)
    scans = load_digits()
    distances = np.abs(scans.images - small).mean((1, 2))
    assert scans.target[distances.argmin()] == int(digit)
    assert distances.min() < 1.5


def test_the_answers_score_one_and_joined_by_id(digits: tuple[Path, Path], tmp_path: Path) -> None:
    header, *rows = (digits[1]).read_text().splitlines()
    shuffled = tmp_path / "submission.csv"
    shuffled.write_text("\n".join([header, *reversed(rows)]) + "\n")
    assert score_answers(shuffled, digits[1]) == {"macro_f1": 1.0, "accuracy": 1.0}


def test_made_twice_it_is_the_same(digits: tuple[Path, Path], tmp_path: Path) -> None:
    make_digits(tmp_path)
    for name in ("train.csv", "answers/digits.csv", "images/0000.png"):
        assert (tmp_path / "data" / name).read_bytes() == (digits[0] / "data" / name).read_bytes()
