"""What is planted in scans of digits is found, 95 of 100, and clean scans give fewer than 2 alarms in 100 rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.config.workspace import Workspace
from kit.stages.checks.check import run_checks
from kit.stages.checks.finding import Finding
from tests.planting import COPIES, Planted, false_alarms, pairs_of, plant, predict, share, torn


def check_findings(planted: Planted, *overrides: str) -> dict[str, Finding]:
    space = Workspace.find(planted.root, list(overrides))
    return {finding.code: finding for finding in run_checks(space).findings}


def named(findings: dict[str, Finding], *codes: str) -> set[str]:
    return {name for code in codes for pair in pairs_of(findings.get(code)) for name in pair}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Planted, dict[str, Finding]]:
    competition = plant(tmp_path_factory.mktemp("copied"), copies=True)
    return competition, check_findings(competition)


@pytest.mark.parametrize("kind", [kind for kind in COPIES if kind != "exact"])
def test_copies_across_folds_are_found(copied: tuple[Planted, dict[str, Finding]], kind: str) -> None:
    competition, findings = copied
    assert share(pairs_of(findings["K05"]), torn(competition, kind)) >= 0.95


def test_copies_in_the_test_set_are_found_and_clean_rows_are_not(
    copied: tuple[Planted, dict[str, Finding]],
) -> None:
    competition, findings = copied
    assert share(pairs_of(findings["K06"]), competition.leaks) >= 0.95
    assert false_alarms(named(findings, "K05", "K06"), competition.clean) < 0.02


def test_clean_digits_are_found_clean(tmp_path: Path) -> None:
    competition = plant(tmp_path)
    findings = check_findings(competition)
    assert false_alarms(named(findings, "K04", "K05", "K06", "K07"), competition.clean) < 0.02
    assert not findings.keys() & {"K09", "K10", "K14"}


def test_wrong_labels_are_found_by_what_a_model_says_of_rows_it_never_saw(tmp_path: Path) -> None:
    competition = plant(tmp_path, wrong=True)
    predict(competition)
    space = Workspace.find(competition.root)
    finding = next(one for one in run_checks(space, ["runs/knn"]).findings if one.code == "K13")
    said = [case.id for case in finding.cases]
    assert share(said, competition.wrong) >= 0.95
    assert false_alarms(said, {name for name in competition.clean if name in competition.labels}) < 0.02
    assert share(said[: len(competition.wrong) // 2], competition.wrong) * 2 >= 0.95  # the surest come first


def test_groups_in_ids_and_darker_test_images_are_found(tmp_path: Path) -> None:
    findings = check_findings(plant(tmp_path, groups=True, shift=True))
    assert findings["K09"].fix.startswith("data.group={prefix}")
    assert "brightness" in {case.path for case in findings["K10"].cases}
    assert findings["K14"].cases[0].path in ("brightness", "contrast")
