"""Labels against each other: groups that contradict themselves, and combinations of factors without a row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from kit.data.class_factors import Factors
from kit.data.table import Table
from kit.stages.checks.factors import check_factors
from kit.stages.checks.finding import Finding

CLASSES = ("man_young", "man_old", "woman_young", "woman_old")
FACTORS: Factors = tuple(tuple(name.split("_")) for name in CLASSES)


def people(labels: np.ndarray, groups: np.ndarray) -> Table:
    ids = np.array([f"r{row:03d}" for row in range(len(labels))])
    return Table(ids, [Path(name) for name in ids], CLASSES, labels, groups, class_factors=FACTORS)


def factor_findings(table: Table) -> dict[str, Finding]:
    return {one.code: one for one in check_factors(table, ("gender", "age"), "cross_entropy")}


LABELS = np.repeat(np.arange(20) % 4, 3)  # twenty people, three photos each
PEOPLE = np.repeat([f"p{n:02d}" for n in range(20)], 3)


def test_people_of_one_gender_each_are_no_finding() -> None:
    assert factor_findings(people(LABELS, PEOPLE)) == {}


def test_a_photo_of_another_gender_than_its_persons_is_reported() -> None:
    labels = LABELS.copy()
    labels[4] = 3  # of p01, a man_old, one photo as woman_old
    finding = factor_findings(people(labels, PEOPLE))["K17"]
    assert finding.level == "warning"
    assert finding.summary == (
        "1 of 20 groups have several values of label; 1 of 20 groups have several values of gender, "
        "all other groups have one"
    )
    assert [str(case) for case in finding.cases] == [
        "p01: label is man_old, woman_old",
        "p01: gender is man, woman",
    ]


def test_what_varies_within_many_groups_is_meant_to() -> None:
    labels = LABELS.copy()
    labels[::3] ^= 1  # one photo of everyone is of another age
    assert factor_findings(people(labels, PEOPLE)) == {}
    labels[4] = 3 - labels[4]
    assert [str(case) for case in factor_findings(people(labels, PEOPLE))["K17"].cases] == [
        "p01: gender is man, woman"
    ]


def test_few_groups_and_no_groups_are_not_evaluated() -> None:
    labels = LABELS[:12].copy()
    labels[0] = 3
    assert "K17" not in factor_findings(people(labels, PEOPLE[:12]))
    assert "K17" not in factor_findings(replace(people(LABELS, PEOPLE), groups=None))


def test_combinations_without_a_row_are_listed() -> None:
    rows = people(np.where(LABELS == 3, 0, LABELS), PEOPLE)
    finding = factor_findings(rows)["K19"]
    assert finding.summary == "1 of 4 combinations of gender x age have no training row"
    assert [str(case) for case in finding.cases] == ["woman/old: a class without rows"]
    other = replace(rows, classes=CLASSES[:3], class_factors=FACTORS[:3])
    assert [case.detail for case in factor_findings(other)["K19"].cases] == ["no class"]
