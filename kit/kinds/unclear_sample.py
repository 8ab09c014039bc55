"""Chooses the format if the cells of a sample submission do not show it: the metric scores labels or probabilities."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from kit.errors import ConfigError
from kit.kinds.prediction import Format, Metric
from kit.kinds.targets import PLAIN_TARGETS, LabelKind

Scored = Literal["labels", "ranking", "probabilities"]
ROWS = 64
MAX_CLASSES = 100  # memory may grow with the square of the classes, and more classes are scored alike


def detect_scored_input(metric: Metric, labels: LabelKind, classes: int) -> Scored | None:
    """Returns what the score depends on, measured on made-up predictions; None if the metric cannot score them.

    The metric's score of hard predictions (0 and 1) is compared with its score of soft predictions of the same
    labels. Equal scores mean that only the labels count. If they differ, a second set of soft predictions keeps each
    row's order of the classes: equal scores then mean that only this order counts. A metric needs no declaration, so
    a workspace's own metrics are covered too.
    """
    most = classes if metric.context.classes else MAX_CLASSES
    truth, hard, soft, same_order = _make_up(labels, min(max(classes, 2), most))
    rows = np.arange(len(truth))
    made_up = replace(
        metric.context, ids=rows.astype(str), groups=(rows // 2).astype(str), weights=np.ones(len(rows))
    )
    metric = metric.with_known(context=made_up)
    try:
        scores = [float(metric.score(truth, values)) for values in (hard, soft, same_order)]
    except Exception:  # a workspace's own metric may need other rows than these
        return None
    if not all(math.isfinite(score) for score in scores):
        return None
    if math.isclose(scores[0], scores[1], rel_tol=1e-9, abs_tol=1e-12):
        return "labels"
    return "ranking" if math.isclose(scores[1], scores[2], rel_tol=1e-9, abs_tol=1e-12) else "probabilities"


def _make_up(labels: LabelKind, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns truth, hard predictions of which about a third are wrong, and two soft versions of the same predictions.

    Soft values of a predicted label are above 0.96, those of the others below 0.04, so that usual thresholds
    agree.
    """
    rng = np.random.default_rng(0)
    if labels == "multi_hot":
        truth = (rng.random((ROWS, classes)) < 0.4).astype(np.int8)
        hard = np.where(rng.random(truth.shape) < 0.3, 1 - truth, truth).astype(np.float64)
        soft = np.where(hard == 1, rng.uniform(0.99, 1, hard.shape), rng.uniform(0, 0.01, hard.shape))
        return truth, hard, soft, soft ** rng.uniform(0.75, 1.5, (ROWS, 1))
    numbers = np.arange(ROWS) % classes
    predicted = np.where(rng.random(ROWS) < 0.35, rng.integers(0, classes, ROWS), numbers)
    hard = np.eye(classes)[predicted]
    others = rng.dirichlet(np.ones(classes), ROWS)
    first, second = rng.uniform(0.98, 0.999, (2, ROWS, 1))
    return numbers, hard, hard * first + others * (1 - first), hard * second + others * (1 - second)


SCORES = {
    "labels": "scores labels",
    "ranking": "scores a ranking of the classes",
    "probabilities": "scores probabilities",
}
WRITES = {
    "label": "labels",
    "labels": "labels",
    "binary_probability": "probabilities",
    "probabilities": "probabilities",
    "one_hot": "0 and 1",
    "multi_hot": "0 and 1",
    "top_k": "ranked labels",
}

MAX_SPELLINGS = 8  # a larger number of distinct cells cannot be spellings of 0 and 1

Cells = Literal["blank", "zeros", "zeros and ones", "a fraction", "a number"]


@dataclass(frozen=True)
class Decided:
    """The format that the metric decides on, and the reason in words."""

    format: Format
    why: str


def decide(
    sample: pd.DataFrame, classes: Sequence[str], labels: LabelKind, metric: Metric, root: Path | None
) -> Decided | None:
    """Returns the format for a sample whose cells do not show one; None if they do, or if the metric does not decide.

    Raises ConfigError C21 if the metric scores labels, and the cells are 0 or 1 although the classes have
    names.
    """
    if not PLAIN_TARGETS[labels].is_probability:
        return None
    if sample.shape[1] < 2 or not len(sample) or not sample.iloc[:, 0].is_unique:
        return None
    has_class_columns = len(classes) > 1 and sorted(sample.columns[1:]) == sorted(classes)
    if not has_class_columns and sample.shape[1] != 2:
        return None
    cells = _cells(sample)
    scored = detect_scored_input(metric, labels, len(classes)) if cells is not None else None
    if cells is None or scored is None:
        return None
    if has_class_columns:
        chosen = _of_columns(cells, sample.iloc[:, 1:].to_numpy().tolist(), labels, scored)
    else:
        chosen = _of_one(cells, sample, classes, labels, scored)
    if chosen is None:
        return None
    name, other = chosen
    options = {"k": min(metric.spec()["k"], len(classes))} if name == "top_k" and "k" in metric.spec() else {}
    shape = Format.open({"name": name, **options}, root, where="format")
    reason = f"metric {metric.plugin_name()} {SCORES[scored]}"
    instead = f"; format={other} writes {WRITES[other]}" if other else ""
    return Decided(shape, f"{_describe_cells(sample, cells)}, read as {_read_as(name)}: {reason}{instead}")


def _of_one(
    cells: Cells, sample: pd.DataFrame, classes: Sequence[str], labels: LabelKind, scored: str
) -> tuple[str, str] | None:
    """Returns the format of one column of answers, and the other possible one."""
    if cells == "blank" and scored == "ranking":
        return "top_k", "labels" if labels == "multi_hot" else "label"
    if labels == "multi_hot":
        return ("labels", "") if cells == "blank" else None
    numbers = all(_number(name) is not None for name in classes)
    if len(classes) != 2:
        # one column has no room for the probabilities of more classes
        placeholder = cells == "blank" or (numbers and not set(sample.iloc[:, 1]) & set(classes))
        return ("label", "") if placeholder else None
    if scored == "probabilities":
        return None if cells == "a fraction" else ("binary_probability", "label")
    values = set(sample.iloc[:, 1])
    if cells == "blank" or numbers:
        return ("label", "binary_probability") if len(values) == 1 else None
    if cells == "a fraction":
        return None  # a fraction cannot stand for a class that has a name, so the sample shows a probability
    raise _error_of_coded_labels(cells, sample, classes)


def _of_columns(
    cells: Cells, rows: Sequence[Sequence[str]], labels: LabelKind, scored: str
) -> tuple[str, str] | None:
    """Returns the format of one column per class, and the other possible one. Fractions show probabilities."""
    hard = "multi_hot" if labels == "multi_hot" else "one_hot"
    if cells in ("a fraction", "a number"):
        return None
    if scored != "probabilities" and len(set(map(tuple, rows))) > 1:
        return None  # rows with different 0 and 1 show a format that suits the metric
    return ("probabilities", hard) if scored == "probabilities" else (hard, "probabilities")


def _error_of_coded_labels(cells: Cells, sample: pd.DataFrame, classes: Sequence[str]) -> ConfigError:
    """Returns the error for named classes with 0 or 1 in the sample: the meaning of the numbers is unknown."""
    codes = json.dumps({name: str(number) for number, name in enumerate(classes)})
    return ConfigError(
        f"{_describe_cells(sample, cells)}, but the metric scores labels, and the classes are "
        f"{' and '.join(classes)}",
        code="C21",
        hint=f"'data.label_from.rename={codes}' (or reversed) for labels, format=binary_probability for probabilities",
    )


def _cells(sample: pd.DataFrame) -> Cells | None:
    """Returns the kind of all cells after the id; None if they vary beyond 0 and 1, or are not numbers from 0 to 1."""
    values = set()
    for number in range(1, sample.shape[1]):
        values |= {cell.strip() for cell in sample.iloc[:, number].unique()}
        if len(values) > MAX_SPELLINGS:
            return None
    if values == {""}:
        return "blank"
    if values == {"0"}:
        return "zeros"
    if values <= {"0", "1"}:
        return "zeros and ones"
    numbers = {_number(value) for value in values}
    if None in numbers or not all(0 <= number <= 1 for number in numbers if number is not None):
        return None
    if numbers <= {0.0, 1.0}:
        return "a number"
    return "a fraction" if len(numbers) == 1 else None


def different_cells(sample: pd.DataFrame) -> set[str]:
    """Returns the distinct cells after the id."""
    return set().union(*(sample.iloc[:, number].unique() for number in range(1, sample.shape[1])))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _describe_cells(sample: pd.DataFrame, cells: Cells) -> str:
    """Returns the cells in words."""
    values = sorted(different_cells(sample))
    if cells == "blank":
        return "every cell of the sample is empty"
    if sample.shape[1] > 2 and all(row.count("1") == 1 for row in sample.iloc[:, 1:].to_numpy().tolist()):
        return "every row of the sample has one 1"
    if len(values) == 1:
        return f"every cell of the sample is {values[0]}"
    return f"every cell of the sample is {' or '.join(values[:4])}"


def _read_as(name: str) -> str:
    return {"label": "a label", "binary_probability": "a probability", "top_k": "ranked labels"}.get(
        name, name
    )
