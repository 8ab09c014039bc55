"""Grades: labels that are ordered whole numbers, but are treated as unordered classes or as numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kit.data.table import Table
from kit.errors import Case
from kit.kinds import Loss
from kit.stages.checks.finding import Finding

MAX_GRADES = 20  # distinct whole numbers; more are measured numbers
CUT = "then kit blend RUN --ensembler cut_points"


def check_grades(train: Table, metric: Mapping[str, Any], loss: Loss) -> Iterator[Finding]:
    """Yields K47 for grades whose order the loss ignores, and for numbers that may be grades."""
    if not train.target.has_classes:
        yield from _check_numbers(train)
    ranks = metric.get("name") == "cohen_kappa" and metric.get("weights", "none") != "none"
    if train.has_one_class and len(train.classes) > 2 and ranks and not loss.is_ordered():
        yield Finding(
            "K47",
            "note",
            f"the metric ranks the {len(train.classes)} classes, and loss {loss.plugin_name()!r} ignores their order",
            "to the loss all wrong grades are equally wrong, but far ones cost more in the score",
            f"loss=grade_regression, {CUT}; or loss=coral",
        )


def check_constant(train: Table) -> Iterator[Finding]:
    """Yields K49 for labels that are all alike, which stop training (D39)."""
    if lack := train.target.find_lack(train.targets(), train.classes):
        yield Finding(
            "K49",
            "problem",
            lack,
            "kit train stops, because there is nothing to learn",
            "use another column in data.label, or another table in data.train",
        )


def _check_numbers(train: Table) -> Iterator[Finding]:
    values = train.targets()
    counts = [len(np.unique(column)) for column in values.T]
    whole = (values == np.round(values)).all(axis=0)
    few = [
        Case(f"{count} different whole numbers", name)
        for name, count, is_whole in zip(train.classes, counts, whole, strict=True)
        if is_whole and 1 < count <= MAX_GRADES
    ]
    if few:
        yield Finding(
            "K47",
            "note",
            f"{len(few)} of {len(train.classes)} columns of numbers have few different values, so they may be grades",
            "predicted numbers lie between the grades, and metrics of grades do not take them",
            f"nothing if they are numbers; as grades: data.target=classes loss=grade_regression, {CUT}",
            tuple(few),
        )
