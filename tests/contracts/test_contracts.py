"""Every law of every plugin that exists: a plugin is tested by existing, and the runner tells what fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit import contracts
from kit.contracts.format import _part_cases
from kit.data.table import Table
from kit.kinds import KINDS, Aggregator, Ensembler, Format, Metric, Splitter, registry
from kit.kinds.plugin import Plugin

ROOT = Path(__file__).parents[2]  # a workspace itself, with worked examples in its plugins/


def every_law() -> list[Any]:
    return [
        pytest.param(kind, name, law, id=f"{kind}-{name}-{law.__name__.removeprefix('law_')}")
        for kind in registry.kinds()
        for name in registry.locations(kind, ROOT)
        for law in contracts.laws_of(kind)
    ]


@pytest.mark.parametrize(("kind", "name", "law"), every_law())
def test_the_law_holds(kind: str, name: str, law: contracts.Law) -> None:
    law(KINDS[kind].open(name, ROOT))


@pytest.mark.parametrize("kind", registry.kinds())
def test_every_kind_has_a_base_class_of_its_name(kind: str) -> None:
    assert KINDS[kind].__name__.lower() == kind


def test_laws_of_a_kind_come_after_those_of_all() -> None:
    names = [law.__name__ for law in contracts.laws_of("metric")]
    assert names[0] == "law_written_down_and_read_back_it_is_equal"
    assert names[-1] == "law_a_shortcut_agrees_with_the_score"


def test_every_law_is_said_in_a_sentence() -> None:
    for kind in registry.kinds():
        for law in contracts.laws_of(kind):
            assert contracts.sentence(law).endswith("."), law.__name__


def broken(plugin: Plugin) -> dict[str, str]:
    return {finding.law: finding.detail for finding in contracts.check(plugin) if not finding.holds}


class NoMetric(Metric):
    """Neither finite nor named."""

    def score(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        return float(truth[0] - probabilities[0, 0]) if len(set(probabilities[:, 0])) > 2 else float("nan")


class FirstMember(Ensembler):
    """The first member's logarithms."""

    def blend(self, members: np.ndarray) -> np.ndarray:
        logs: np.ndarray = np.log(members[0] + 1e-3)
        return logs


def test_findings_name_the_law_and_the_numbers() -> None:
    findings = broken(NoMetric())
    assert (
        "perfect predictions score nan"
        in findings["Perfect predictions score at least as well as any other."]
    )
    assert "The order of the rows does not change the score." in findings
    assert findings[
        "The docstring of its class or module contains `Source: ...` with the paper, equation or library."
    ]


def test_an_ensembler_that_gives_no_probabilities_is_found() -> None:
    findings = broken(FirstMember())
    rows = "A blend (N, K) is finite and not negative, and its rows sum to 1."
    assert "the least probability is -" in findings[rows]
    assert "Unfitted and without weights: the order of the members does not change the blend." in findings


class ByPosition(Format):
    """Writes rows where they happen to be."""

    def matches(self, sample: Any, classes: Any) -> bool:
        return bool(sample.shape[1] == 2)

    def write(self, predictions: Any, sample: Any) -> Any:
        sample["label"] = [predictions.classes[row.argmax()] for row in predictions.probabilities]
        return sample


def test_a_format_that_goes_by_position_is_found() -> None:
    findings = broken(ByPosition())
    assert "The order of the predictions does not change the submission." in findings
    assert "The given sample is not changed." in findings


def test_an_error_of_the_plugin_is_a_law_that_does_not_hold() -> None:
    class Silent(Metric):
        """It has no score."""

    assert "NotImplementedError: " in broken(Silent()).values()


class WholeRows(Ensembler):
    """A mean whose rows sum to 1, whatever parts they have."""

    label_kinds = ("several",)

    def blend(self, members: np.ndarray) -> np.ndarray:
        mean: np.ndarray = members.mean(axis=0, dtype=np.float64)
        return np.asarray(mean / mean.sum(axis=1, keepdims=True))


class WholeAnswers(Aggregator):
    """A mean whose answers sum to 1, whatever parts they have."""

    label_kinds = ("several",)

    def combine(self, images: np.ndarray) -> np.ndarray:
        mean: np.ndarray = images.mean(axis=1, dtype=np.float64)
        return np.asarray(mean / mean.sum(axis=1, keepdims=True))


class FirstPart(Splitter):
    """Puts rows without a label of the first part into a fold of a number of their own."""

    label_kinds = ("several",)

    def split(self, table: Table, rng: np.random.Generator) -> np.ndarray:
        blank = ~np.nan_to_num(table.targets()[:, :2]).any(axis=1)
        return np.where(blank, 5, np.arange(len(table)) % 2)[:, None]


class PartsByPosition(ByPosition):
    """Writes rows where they happen to be, whatever parts there are."""

    label_kinds = ("several",)


def test_plugins_that_know_no_parts_are_found() -> None:
    assert "the sum of a part is not 1" in str(broken(WholeRows()))
    assert "the sum of a part is not 1" in str(broken(WholeAnswers()))
    assert "numbers [0, 1, 5], not 0 to 2" in str(broken(FirstPart()))
    assert "The order of the predictions does not change the submission." in broken(PartsByPosition())


@pytest.mark.parametrize("name", registry.locations("format"))
def test_a_format_of_parts_is_held_against_samples_of_its_own(name: str) -> None:
    submission_format = Format.open(name)
    assert bool(list(_part_cases(submission_format))) == submission_format.takes_labels("several")
