"""Classes: how well each one is predicted, and which are confused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kit.stages.reporting.row_facts import ClassScore, Confused

MAX_LISTED_PAIRS = 60  # pairs of classes


def of_confusion(counts: np.ndarray, names: Sequence[str]) -> tuple[ClassScore, ...]:
    """Returns each class's scores by a confusion matrix (K, K) with one row per true class."""
    wrong = counts - np.diag(counts.diagonal())
    scores = _scores(counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0), names)
    return tuple(
        score if not wrong[row].any() else _with_confusion(score, names, wrong[row])
        for row, score in enumerate(scores)
    )


def _with_confusion(score: ClassScore, names: Sequence[str], wrong: np.ndarray) -> ClassScore:
    most = int(wrong.argmax())
    return ClassScore(
        score.name, score.rows, score.precision, score.recall, score.f1, names[most], int(wrong[most])
    )


def of_questions(truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> tuple[ClassScore, ...]:
    """Returns each class's scores by multi-hot truth and answers, both (N, K)."""
    truth, predicted = truth.astype(bool), predicted.astype(bool)
    return _scores((truth & predicted).sum(axis=0), truth.sum(axis=0), predicted.sum(axis=0), names)


def _scores(
    hits: np.ndarray, true: np.ndarray, predicted: np.ndarray, names: Sequence[str]
) -> tuple[ClassScore, ...]:
    return tuple(
        ClassScore(
            name, int(rows), _share(right, answers), _share(right, rows), _share(2 * right, rows + answers)
        )
        for name, right, rows, answers in zip(names, hits, true, predicted, strict=True)
    )


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def rank_confusions(
    counts: np.ndarray, names: Sequence[str], most: int = MAX_LISTED_PAIRS
) -> tuple[Confused, ...]:
    """Returns the pairs of classes that are confused, those with most rows first."""
    wrong = counts - np.diag(counts.diagonal())
    rows = counts.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(at), len(names)) for at in order if wrong.flat[at]]
    return tuple(
        Confused(
            names[true],
            names[predicted],
            int(wrong[true, predicted]),
            float(wrong[true, predicted] / rows[true]),
        )
        for true, predicted in pairs
    )
