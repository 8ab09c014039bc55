"""Factors: compares labels, if a class is made of parts or if a group should share a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod

import numpy as np

from kit.data.table import Table
from kit.errors import Case
from kit.stages.checks.finding import Finding

CONSTANT = 0.9  # of the groups with several rows have one value: then the others contradict themselves
MIN_ROWS = 10  # minimum groups with several rows for this finding
MAX_LISTED = 1000  # maximum combinations that are checked


def check_factors(train: Table, names: Sequence[str], loss: str) -> Iterator[Finding]:
    """Yields K17 for groups whose rows disagree although nearly all others agree, K19 for combinations
    without a row.
    """
    yield from _contradictions(train, names)
    yield from _combinations(train, names, loss == "factors")


def _contradictions(train: Table, names: Sequence[str]) -> Iterator[Finding]:
    if train.groups is None or not train.has_one_class:
        return
    parts = {"label": np.array(train.classes)[train.targets()], **_values(train, names)}
    cases: list[Case] = []
    summaries: list[str] = []
    for name, values in parts.items():
        torn, checked = _split_groups(train.groups, values)
        if checked >= MIN_ROWS and torn and len(torn) <= (1 - CONSTANT) * checked:
            summaries.append(f"{len(torn)} of {checked} groups have several values of {name}")
            cases += [
                Case(f"{name} is {', '.join(contradicting)}", id=group)
                for group, contradicting in torn.items()
            ]
    if cases:
        yield Finding(
            "K17",
            "warning",
            "; ".join(summaries) + ", all other groups have one",
            "if the group is one person or object, some of its labels are wrong, and the loss gets "
            "contradictory targets",
            "review them, and correct the labels in data.train",
            tuple(cases),
        )


def _values(train: Table, names: Sequence[str]) -> Mapping[str, np.ndarray]:
    """Returns each row's value of each factor."""
    if not train.class_factors:
        return {}
    table = np.array(train.class_factors, dtype=str)[train.targets()]
    return dict(zip(names, table.T, strict=True))


def _split_groups(groups: np.ndarray, values: np.ndarray) -> tuple[dict[str, list[str]], int]:
    """Returns the groups with several values, and how many groups have several rows."""
    group_names, group_of_row, counts = np.unique(groups, return_inverse=True, return_counts=True)
    pairs = np.unique(np.stack([group_of_row, np.unique(values, return_inverse=True)[1]], axis=1), axis=0)
    different = np.bincount(pairs[:, 0], minlength=len(group_names))
    torn = {
        str(group_names[at]): sorted(set(values[group_of_row == at].tolist()))
        for at in np.flatnonzero(different > 1).tolist()
    }
    return torn, int((counts > 1).sum())


def _combinations(train: Table, names: Sequence[str], by_factors: bool) -> Iterator[Finding]:
    if not train.class_factors:
        return
    values = [sorted(set(column)) for column in zip(*train.class_factors, strict=True)]
    if prod(map(len, values)) > MAX_LISTED:
        return
    counts = dict(zip(train.class_factors, train.counts().tolist(), strict=True))
    absent = [combination for combination in product(*values) if not counts.get(combination)]
    if absent:
        yield Finding(
            "K19",
            "note",
            f"{len(absent)} of {prod(map(len, values))} combinations of {' x '.join(names)} have no training row",
            "with one output per class a class without rows is never predicted; loss=factors learns its "
            "parts from other classes",
            "nothing if they cannot occur; otherwise "
            + ("" if by_factors else "loss=factors, or ")
            + "rows of them",
            tuple(
                Case("a class without rows" if combination in counts else "no class", "/".join(combination))
                for combination in absent
            ),
        )
