"""Finds the rows whose label is probably wrong, by kit check's confident learning on one member."""

from __future__ import annotations

import numpy as np

from kit.stages.checks.label_errors import find_label_errors
from kit.stages.reporting.member import EvaluatedMember
from kit.stages.reporting.row_facts import Suspect

MAX_LABEL_ERRORS = 36


def find_suspects(subject: EvaluatedMember) -> tuple[float, list[tuple[int, Suspect]]]:
    """Returns how many wrong labels are expected, and the rows, the most certain first, with their positions.

    If a row may have several labels, each class is a separate question, and a row may occur several times.
    """
    if not subject.table.target.has_decisions:
        return 0.0, []
    truth = subject.table.targets()
    shares = np.asarray(subject.probabilities, dtype=np.float64)
    if subject.table.is_multi_label:
        return _of_questions(subject, shares, truth)
    label_errors, names = find_label_errors(shares, truth), subject.table.classes
    return label_errors.expected, [
        (row, _suspect(subject, row, (names[likely],), shares[row, truth[row]], shares[row, likely]))
        for row, likely in zip(label_errors.rows.tolist(), label_errors.likely.tolist(), strict=True)
    ]


def _of_questions(
    subject: EvaluatedMember, shares: np.ndarray, truth: np.ndarray
) -> tuple[float, list[tuple[int, Suspect]]]:
    expected, ranked = 0.0, []
    for number, name in enumerate(subject.table.classes):
        share = shares[:, number]
        label_errors = find_label_errors(
            np.stack([1 - share, share], axis=1), truth[:, number].astype(np.int64)
        )
        expected += label_errors.expected
        for row, likely, margin in zip(
            label_errors.rows.tolist(), label_errors.likely.tolist(), label_errors.margins, strict=True
        ):
            answer = share[row] if likely else 1 - share[row]
            likely_label = (name if likely else f"not {name}",)
            ranked.append((margin, row, _suspect(subject, row, likely_label, 1 - answer, answer)))
    return expected, [(row, suspect) for _, row, suspect in sorted(ranked, key=lambda entry: entry[0])]


def _suspect(
    subject: EvaluatedMember, row: int, likely: tuple[str, ...], of_label: float, of_likely: float
) -> Suspect:
    return Suspect(
        id=str(subject.table.ids[row]),
        fold=int(subject.folds[row]),
        labels=subject.table.label_names(row),
        likely=likely,
        of_label=float(of_label),
        of_likely=float(of_likely),
        picture=None,
    )
