"""Workspaces drawn for the tests of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from kit.config.models import Data
from kit.data.table import train_table
from kit.errors import KitError


def make(root: Path, files: Mapping[str, str] | None = None, images: Sequence[str] = ()) -> Path:
    """A workspace with these text files, and an empty file for each image (tables do not open images)."""
    for name, text in {**(files or {}), **dict.fromkeys(images, "")}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def csv(*rows: str) -> str:
    return "\n".join(rows) + "\n"


PLAIN = Data(train="train.csv", sample="sample.csv", images="images/{id}")
TRAIN = csv("id,label", "b,dog", "a,cat")
SAMPLE = csv("id,label", "t2,cat", "t1,cat")
FILES = {"train.csv": TRAIN, "sample.csv": SAMPLE}
IMAGES = ["images/a.jpg", "images/b.png", "images/t1.jpg", "images/t2.jpg"]


def train_error(root: Path, data: Data = PLAIN) -> KitError:
    with pytest.raises(KitError) as caught:
        train_table(root, data)
    return caught.value


ANIMALS = ("cat", "dog", "eel")


def ids(split: str, count: int) -> list[str]:
    return [f"{split}{number:03d}" for number in range(count)]


def usual(root: Path, under: str = "") -> Path:
    """train.csv, sample_submission.csv, images/train, images/test."""
    train = [f"{name},{ANIMALS[n % 3]}" for n, name in enumerate(ids("a", 30))]
    sample = [f"{name},cat" for name in ids("t", 12)]
    files = {
        "train.csv": csv("image_id,label", *train),
        "sample_submission.csv": csv("image_id,label", *sample),
    }
    images = [f"images/train/{name}.jpg" for name in ids("a", 30)]
    images += [f"images/test/{name}.jpg" for name in ids("t", 12)]
    make(root / under, files, images)
    return root
