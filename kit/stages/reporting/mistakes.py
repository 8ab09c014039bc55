"""Mistakes: the rows with the highest cost for a member, predicted by models that never saw them."""

from __future__ import annotations

from collections import Counter

import numpy as np

from kit.kinds.metric_shortcuts import true_class_probability
from kit.stages.reporting import values
from kit.stages.reporting.member import EvaluatedMember
from kit.stages.reporting.row_facts import Mistake

MAX_MISTAKES = 36  # of all classes
MAX_MISTAKES_PER_CLASS = 3  # in addition for each class, so that a filter by class finds some
MAX_MISTAKES_IN_ALL = 240
MIN_PROBABILITY = 1e-15  # the least probability, as in scikit-learn's log loss


def costs(subject: EvaluatedMember) -> np.ndarray:
    """Returns the log loss of each row, (N,), for several labels the mean; for numbers and soft targets the error."""
    if not subject.table.target.has_decisions:
        return values.find_costs(subject.table, subject.probabilities)
    shares = -np.log(
        np.clip(true_class_probability(subject.table.targets(), subject.probabilities), MIN_PROBABILITY, 1)
    )
    return shares if shares.ndim == 1 else np.asarray(shares.mean(axis=1))


def worst(subject: EvaluatedMember) -> list[int]:
    """Returns the positions of the wrongly predicted rows with the highest cost, and of those of each class."""
    loss, wrong = costs(subject), subject.is_error
    count_by_class: Counter[str] = Counter()
    chosen: list[int] = []
    for row in np.argsort(-loss, kind="stable").tolist():
        if not wrong[row]:
            continue
        names = subject.table.label_names(row) if subject.table.target.has_decisions else ()
        if len(chosen) < MAX_MISTAKES or any(count_by_class[name] < MAX_MISTAKES_PER_CLASS for name in names):
            chosen.append(row)
            count_by_class.update(names)
        if len(chosen) == MAX_MISTAKES_IN_ALL:
            break
    return chosen


def mistake(subject: EvaluatedMember, row: int, loss: float) -> Mistake:
    """Returns a row's mistake in words, without its picture."""
    table, shares = subject.table, subject.probabilities[row]
    if not table.target.has_decisions:
        predicted = (table.target.describe(shares, table.classes),)
        names = table.label_names(row)
        return Mistake(str(table.ids[row]), int(subject.folds[row]), names, predicted, None, None, loss, None)
    if table.is_multi_label:
        given = np.flatnonzero(subject.decision.assign_labels(shares[None])[0]).tolist()
        truth = np.flatnonzero(table.targets()[row]).tolist()
        confidence = float(shares[given].min()) if given else float(1 - shares.max())
        of_truth = float(shares[truth].min()) if truth else float(1 - shares.max())
    else:
        given, truth = [int(shares.argmax())], [int(table.targets()[row])]
        confidence, of_truth = float(shares[given[0]]), float(shares[truth[0]])
    return Mistake(
        id=str(table.ids[row]),
        fold=int(subject.folds[row]),
        labels=table.label_names(row),
        predicted=tuple(table.classes[number] for number in given),
        confidence=confidence,
        of_truth=of_truth,
        loss=loss,
        picture=None,
    )
