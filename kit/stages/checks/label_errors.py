"""LabelErrors: finds labels that are probably wrong, by predictions of models that never saw the row.

Source: Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kit.errors import Case
from kit.stages.blending.members import OutOfFold
from kit.stages.checks.finding import Finding

ROUNDING = 1e-6  # below its threshold a probability still counts


@dataclass(frozen=True, eq=False)
class LabelErrors:
    """Rows whose label is probably wrong, the most certain first, and how many are expected in all."""

    rows: np.ndarray  # (suspects,) int64
    likely: np.ndarray  # (suspects,) int64, the class that models predict
    margins: np.ndarray  # (suspects,) of the label's probability over the best other one's, from 0 to 1
    expected: float
    joint: np.ndarray  # (classes, classes): estimated number of rows of each label that are of each class


def find_label_errors(probabilities: np.ndarray, labels: np.ndarray) -> LabelErrors:
    """Returns the rows with the lowest normalised margin, as many as the confident joint counts off its
    diagonal.

    `probabilities` (N, K) are out of fold, `labels` are class numbers (N,). A row counts as a class if its
    probability reaches the mean of rows with that label; of several classes the most probable one (equation
    1). The joint is scaled to the number of rows of each label (equation 3). Rows whose label is the most
    probable class are left out.
    """
    rows, classes = np.arange(len(labels)), probabilities.shape[1]
    own, counts = probabilities[rows, labels], np.bincount(labels, minlength=classes)
    means = np.bincount(labels, own, minlength=classes) / np.maximum(counts, 1)
    reached = (probabilities >= means - ROUNDING) & (counts > 0)
    confident = np.where(reached, probabilities, -1.0).argmax(axis=1)
    is_confident = reached.any(axis=1)
    joint = np.zeros((classes, classes))
    np.add.at(joint, (labels[is_confident], confident[is_confident]), 1)
    np.fill_diagonal(
        joint, joint.diagonal().clip(min=1)
    )  # each class has at least one row, however uncertain models are
    joint *= (counts / joint.sum(axis=1))[:, None]
    others = probabilities.copy()
    others[rows, labels] = -np.inf
    margins = (own - others.max(axis=1) + 1) / 2
    expected = float(joint.sum() - joint.trace())
    unlikely = np.flatnonzero(margins < 0.5)
    order = unlikely[np.argsort(margins[unlikely], kind="stable")][: round(expected)]
    return LabelErrors(order, others.argmax(axis=1)[order], margins[order], expected, joint)


def of_predictions(seen: OutOfFold) -> Iterator[Finding]:
    """Yields K13: rows whose label models contradict. If a row may have several labels, each class is a question."""
    if not seen.table.target.has_decisions:
        return
    probabilities = np.asarray(seen.members.mean(axis=0), dtype=np.float64)
    several = seen.table.is_multi_label
    cases, expected = _several(seen, probabilities) if several else _single(seen, probabilities)
    if not cases:
        return
    yield Finding(
        "K13",
        "warning",
        f"{len(cases)} labels are probably wrong according to {' and '.join(seen.names)}, about "
        f"{expected:.0f} expected in total ({expected / len(seen.ids):.1%} of {len(seen.ids)} rows)",
        "a wrong label counts as a mistake of the model, and the model learns it; if the test set has as "
        "many, they limit the best possible score",
        "review them, most probable first: kit check --csv cases.csv"
        + ("" if several else "; loss=symmetric_cross_entropy is more robust to wrong labels"),
        tuple(case for _, case in sorted(cases, key=lambda each: each[0])),
    )


def _single(seen: OutOfFold, probabilities: np.ndarray) -> tuple[list[tuple[float, Case]], float]:
    label_errors, names = find_label_errors(probabilities, seen.truth), seen.table.classes
    cases = []
    for row, likely, margin in zip(
        label_errors.rows.tolist(), label_errors.likely.tolist(), label_errors.margins.tolist(), strict=True
    ):
        label = int(seen.truth[row])
        shares = f"{probabilities[row, likely]:.2f} against {probabilities[row, label]:.2f}"
        cases.append(
            (margin, _case(seen, row, f"labelled {names[label]}, predicted {names[likely]} ({shares})"))
        )
    return cases, label_errors.expected


def _several(seen: OutOfFold, probabilities: np.ndarray) -> tuple[list[tuple[float, Case]], float]:
    cases, expected = [], 0.0
    for number, name in enumerate(seen.table.classes):
        share = probabilities[:, number]
        label_errors = find_label_errors(
            np.stack([1 - share, share], axis=1), np.asarray(seen.truth[:, number], dtype=np.int64)
        )
        expected += label_errors.expected
        for row, margin in zip(label_errors.rows.tolist(), label_errors.margins.tolist(), strict=True):
            labelled = "labelled" if seen.truth[row, number] else "not labelled"
            cases.append((margin, _case(seen, row, f"{labelled} {name}, predicted with {share[row]:.2f}")))
    return cases, expected


def _case(seen: OutOfFold, row: int, detail: str) -> Case:
    return Case(detail, id=str(seen.ids[row]), split="train")
