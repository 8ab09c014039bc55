"""Mirroring: scikit-learn's digits change their class, symmetric shapes do not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from kit.data.table import Table
from kit.images.near_duplicates import _picture
from kit.kinds import Augmenter
from kit.kinds.targets import MULTI_HOT, ONE_CLASS
from kit.stages.checks import mirroring
from kit.stages.checks.mirroring import check_mirroring, find_sided_pairs

FLIPS = Augmenter.open("light")


def rows(labels: np.ndarray, names: tuple[str, ...], target: object = ONE_CLASS) -> Table:
    """What the check reads of a table."""
    return cast(
        Table,
        SimpleNamespace(
            classes=names, targets=lambda: labels, target=target, competition_rows=np.ones(len(labels), bool)
        ),
    )


def digits() -> tuple[Table, np.ndarray]:
    images, labels = load_digits(return_X_y=True)
    pictures = np.stack(
        [_picture(cv2.resize(image.reshape(8, 8), (32, 32)).astype(np.float32)) for image in images[:600]]
    )
    return rows(labels[:600], tuple("0123456789")), pictures


def test_digits_change_and_the_accuracies_are_scikit_learns() -> None:
    table, pictures = digits()
    apart = np.arange(len(pictures))
    (finding,) = check_mirroring(table, pictures, apart, FLIPS)
    mirrored = pictures.reshape(-1, 16, 16)[:, :, ::-1].reshape(len(pictures), -1)

    def accuracy(queries: np.ndarray) -> float:
        nearest = (
            KNeighborsClassifier(2).fit(pictures, table.targets()).kneighbors(queries, return_distance=False)
        )
        other = np.where(nearest[:, 0] == apart, nearest[:, 1], nearest[:, 0])
        return float((table.targets()[other] == table.targets()).mean())

    assert (
        f"{accuracy(pictures):.0%} of rows, and of {accuracy(mirrored):.0%} when mirrored" in finding.summary
    )
    assert finding.code == "K32"
    assert "augmenter.hflip=false" in finding.fix


@pytest.mark.parametrize(
    ("option", "value"), [("hflip", False), ("target", MULTI_HOT), ("units", 0)], ids=str
)
def test_no_flip_several_labels_and_one_unit_are_no_finding(option: str, value: Any) -> None:
    table, pictures = digits()
    units = np.arange(len(pictures)) * (option != "units")
    if option == "target":
        table = rows(np.eye(10, dtype=np.int8)[table.targets()], table.classes, value)
    augmenter = Augmenter.open({"name": "light", "hflip": option != "hflip"})
    assert not list(check_mirroring(table, pictures, units, augmenter))


def test_symmetric_shapes_are_no_finding() -> None:
    drawn = np.random.default_rng(0)
    kinds = [np.zeros((16, 16), np.float32) for _ in range(3)]
    cv2.circle(kinds[0], (8, 8), 5, 255, -1)
    cv2.rectangle(kinds[1], (3, 3), (12, 12), 255, 1)
    kinds[2][:, 7:9] = 255
    labels = np.arange(90) % 3
    pictures = np.stack(
        [_picture(kinds[label] + drawn.normal(0, 20, (16, 16)).astype(np.float32)) for label in labels]
    )
    assert not list(check_mirroring(rows(labels, ("a", "b", "c")), pictures, np.arange(90), FLIPS))


@pytest.mark.parametrize(
    ("classes", "pairs"),
    [
        (("turn_left", "turn_right", "stop"), [("turn_left", "turn_right")]),
        (("Left Bundle", "right bundle"), [("Left Bundle", "right bundle")]),
        (("leftover", "rightover", "cat"), []),
        (("hand-L", "hand-R"), [("hand-L", "hand-R")]),
    ],
)
def test_names_that_differ_by_left_and_right(classes: tuple[str, ...], pairs: list[tuple[str, str]]) -> None:
    assert find_sided_pairs(classes) == pairs


def test_names_alone_are_a_finding_with_the_pairs() -> None:
    table = rows(np.array([0, 1]), ("left", "right"))
    (finding,) = check_mirroring(table, np.zeros((2, 256), np.float32), np.arange(2), FLIPS)
    assert [case.detail for case in finding.cases] == ["left and right"]


def test_few_rows_are_taken_of_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table, pictures = digits()
    monkeypatch.setattr(mirroring, "MOST_ROWS", 100)
    assert list(check_mirroring(table, pictures, np.arange(len(pictures)), FLIPS))
