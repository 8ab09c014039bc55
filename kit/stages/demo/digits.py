"""digits: makes a competition of real scanned digits from scikit-learn's data set, as image files and tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kit.core import randomness
from kit.core.files import write_bytes, write_json, write_text

TEST_SHARE = 3  # one row in three is a test row
SIDE_PX = 32  # pixels; the scans are 8 x 8

DEMO_CONFIG: dict[str, Any] = {
    "data": {
        "train": "data/train.csv",
        "sample": "data/sample_submission.csv",
        "id": "image_id",
        "label": "digit",
        "images": "data/images/{image_id}",
    },
    "metric": "macro_f1",
    "splitter": {"name": "stratified_kfold", "folds": 3},
    "augmenter": {"name": "light", "hflip": False},
    "backbone": {"name": "small", "width": 24},
    "loss": {"name": "label_smoothing", "smoothing": 0.05},
    "optimizer": {"name": "adamw", "lr": 0.003},
    "image_size": 32,
    "cache_size": 32,
    "epochs": 10,
    "batch_size": 32,
    "ema_decay": 0.98,
}


def make_digits(root: Path) -> Path:
    """Writes the competition into a folder: config.json, data/ with images and tables, and separate test answers.

    Returns the answers' file, `data/answers/digits.csv`, which only `kit demo` reads, at its end.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = randomness.generator(0, "digits").permutation(len(digits.target))
    ids = [f"{number:04d}" for number in range(len(order))]
    for name, row in zip(ids, order, strict=True):
        write_bytes(root / "data" / "images" / f"{name}.png", _png(digits.images[row]))
    rows = [(name, str(digits.target[row])) for name, row in zip(ids, order, strict=True)]
    test, train = rows[::TEST_SHARE], [row for index, row in enumerate(rows) if index % TEST_SHARE]
    _write_csv(root / "data" / "train.csv", ("image_id", "digit"), train)
    _write_csv(
        root / "data" / "sample_submission.csv", ("image_id", "digit"), [(name, "0") for name, _ in test]
    )
    answers = root / "data" / "answers" / "digits.csv"
    _write_csv(answers, ("image_id", "digit"), test)
    if not (root / "config.json").exists():
        write_json(root / "config.json", DEMO_CONFIG)
    return answers


def _png(scan: np.ndarray) -> bytes:
    """Returns an 8 x 8 scan of 0 to 16 as a grey PNG of 32 x 32."""
    import cv2

    grey = cv2.resize((scan * (255 / 16)).astype(np.uint8), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)
    return bytes(cv2.imencode(".png", grey)[1])


def _write_csv(file: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(file, text.getvalue())


def score_answers(submission: Path, answers: Path) -> dict[str, float]:
    """Returns macro F1 and accuracy of a submission of digits, joined with the answers by id."""
    from sklearn.metrics import accuracy_score, f1_score

    given, true = _read_csv(submission), _read_csv(answers)
    pairs = [(true[name], given[name]) for name in true]
    truth, answer = zip(*pairs, strict=True)
    return {
        "macro_f1": float(f1_score(truth, answer, average="macro")),
        "accuracy": float(accuracy_score(truth, answer)),
    }


def _read_csv(file: Path) -> dict[str, str]:
    with file.open(newline="", encoding="utf-8") as stream:
        return {row[0]: row[1] for row in list(csv.reader(stream))[1:]}
