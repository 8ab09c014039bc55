"""A competition of scikit-learn's digits with faults planted in it, and what kit check has to find of each.

The tests hold kit check against it; `python -m benchmarks.check` prints how much is found beside other libraries.
"""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kit.config.workspace import Workspace
from kit.data.folds import Folds, make_folds
from kit.data.predictions import Predictions
from kit.data.table import train_table
from kit.errors import KitWarning
from kit.kinds import Splitter
from kit.stages.checks.finding import Finding
from kit.stages.demo.digits import DEMO_CONFIG, TEST_SHARE

SIDE = 32
EACH = 25  # rows of each kind of copy
WRONG = 0.05  # of the training rows have another label

Image = np.ndarray
Change = Callable[[Image], bytes]


def png(image: Image) -> bytes:
    return bytes(cv2.imencode(".png", image)[1])


def jpeg(image: Image) -> bytes:
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1])


COPIES: dict[str, Change] = {
    "exact": png,
    "resized": lambda image: png(cv2.resize(image, (48, 48), interpolation=cv2.INTER_LINEAR)),
    "recompressed": jpeg,
    "brighter": lambda image: png(np.clip(image.astype(int) * 0.8 + 20, 0, 255).astype(np.uint8)),
}


@dataclass
class Planted:
    """Ids by what was planted: pairs of copies by kind, rows of train with another label, and every clean id."""

    root: Path
    pairs: dict[str, set[frozenset[str]]] = field(default_factory=dict)  # within the training rows
    leaks: set[frozenset[str]] = field(default_factory=set)  # of a training and a test row
    wrong: set[str] = field(default_factory=set)
    clean: set[str] = field(default_factory=set)
    labels: dict[str, str] = field(default_factory=dict)  # of all training rows, as the table has them


def scans() -> tuple[list[Image], np.ndarray]:
    """The digits as images, grey uint8, and their labels, in an order that is drawn once."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(1).permutation(len(digits.target))
    pictures = [
        cv2.resize(
            (digits.images[at] * (255 / 16)).astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
        )
        for at in order
    ]
    return pictures, digits.target[order]


def plant(
    root: Path,
    copies: bool = False,
    wrong: bool = False,
    groups: bool = False,
    shift: bool = False,
    size: int | None = None,
) -> Planted:
    """Writes the competition with these faults; `size` takes the first digits; without any it is clean."""
    images, labels = scans()
    images, labels = images[:size], labels[:size]
    rng, folder = np.random.default_rng(2), root / "data" / "images"
    folder.mkdir(parents=True)
    is_test = np.arange(len(labels)) % TEST_SHARE == 0
    names = [f"w{at // 5:03d}_{at % 5}" if groups else f"{at:04d}" for at in range(len(labels))]
    competition, train, test = Planted(root), {}, []
    for name, image, label, held in zip(names, images, labels.tolist(), is_test.tolist(), strict=True):
        (folder / f"{name}.png").write_bytes(png((image * 0.7).astype(np.uint8) if shift and held else image))
        if held:
            test.append(name)
        else:
            train[name] = str(label)
    if copies:
        _copy(competition, rng, train, test, dict(zip(names, images, strict=True)))
    if wrong:
        competition.wrong = set(rng.choice(sorted(train), round(WRONG * len(train)), replace=False).tolist())
        for name in sorted(competition.wrong):
            train[name] = str((int(train[name]) + int(rng.integers(1, 10))) % 10)
    copied = {
        name for pair in (*competition.leaks, *set().union(*competition.pairs.values())) for name in pair
    }
    competition.clean, competition.labels = {*train, *test} - copied - competition.wrong, train
    _tables(root, train, test)
    return competition


def _copy(
    competition: Planted,
    rng: np.random.Generator,
    train: dict[str, str],
    test: list[str],
    images: dict[str, Image],
) -> None:
    """Copies of EACH training rows for each kind among the training rows, and as many among the test rows."""
    chosen = iter(rng.permutation(sorted(train)).tolist())
    for kind, change in COPIES.items():
        competition.pairs[kind] = set()
        for number in range(2 * EACH):
            name, copy = next(chosen), f"{kind}{number:02d}"
            ending = "jpg" if change is jpeg else "png"
            (competition.root / f"data/images/{copy}.{ending}").write_bytes(change(images[name]))
            if number < EACH:
                competition.pairs[kind].add(frozenset((name, copy)))
                train[copy] = train[name]
            else:
                competition.leaks.add(frozenset((name, copy)))
                test.append(copy)


def _tables(root: Path, train: dict[str, str], test: Sequence[str]) -> None:
    for file, rows in (("train", train.items()), ("sample_submission", [(name, "0") for name in test])):
        with (root / "data" / f"{file}.csv").open("w", newline="") as opened:
            csv.writer(opened).writerows([("image_id", "digit"), *rows])
    (root / "config.json").write_text(json.dumps(DEMO_CONFIG))


def predict(competition: Planted, name: str = "knn") -> np.ndarray:
    """A run of that name whose out-of-fold predictions are those of nearest neighbours; returns the probabilities."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier

    ids = np.array(sorted(competition.labels))
    truth = np.array([int(competition.labels[each]) for each in ids.tolist()])
    pixels = np.stack([_pixels(competition.root, each) for each in ids.tolist()])
    parts = list(StratifiedKFold(5, shuffle=True, random_state=0).split(pixels, truth))
    numbers = np.zeros(len(ids), np.int64)
    for fold, (_, held) in enumerate(parts):
        numbers[held] = fold
    shares = cross_val_predict(KNeighborsClassifier(9), pixels, truth, cv=parts, method="predict_proba")
    run = competition.root / "runs" / name
    Folds(ids, numbers[:, None]).write(run / "folds.csv")
    classes = tuple(map(str, range(10)))
    Predictions(ids, numbers, classes, shares.astype(np.float32)).write(run / "predictions/plain/oof.parquet")
    return np.asarray(shares)


def _pixels(root: Path, name: str) -> np.ndarray:
    file = next(iter((root / "data/images").glob(f"{name}.*")))
    grey = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    return np.asarray(cv2.resize(np.asarray(grey), (8, 8), interpolation=cv2.INTER_AREA).ravel() / 255)


def torn(competition: Planted, kind: str, *overrides: str) -> set[frozenset[str]]:
    """The planted pairs of a kind that the folds tear: those that chance put into one fold do not raise scores."""
    space = Workspace.find(competition.root, list(overrides))
    table = train_table(space.root, space.competition.data).sort_by_id()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KitWarning)
        folds = make_folds(table, space.experiment.open(Splitter), space.experiment.split_seed)
    fold = dict(zip(folds.ids.tolist(), folds.numbers[:, 0].tolist(), strict=True))
    return {pair for pair in competition.pairs[kind] if len({fold[name] for name in pair}) > 1}


def pairs_of(finding: Finding | None) -> set[frozenset[str]]:
    """The pairs of ids that a finding of copies names."""
    words = [] if finding is None else [str(case).split(" = ") for case in finding.cases]
    return {frozenset(one.split()[-1] for one in pair) for pair in words}


def share(part: Collection[Any], whole: Collection[Any]) -> float:
    """How much of the whole is in the part."""
    return len(set(part) & set(whole)) / len(set(whole))


def false_alarms(said: Iterable[str], clean: Collection[str]) -> float:
    """The share of clean rows that are named."""
    return share(set(said), clean)
