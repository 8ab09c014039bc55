"""kit init --metric takes options, and the names that pages of competitions use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kit.config.models import Data
from kit.errors import ConfigError
from kit.kinds import Metric
from kit.stages.discovery.metric import suggest
from kit.stages.discovery.metric_names import NAMES, SEVERAL, read_metric
from tests.drawn_tables import csv, make

QWK = {"name": "cohen_kappa", "weights": "quadratic"}


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("QWK", QWK),
        ("Quadratic Weighted Kappa", QWK),
        ("cohen_kappa weights=quadratic", QWK),
        ('{"name": "cohen_kappa", "weights": "quadratic"}', QWK),
        ("pAUC", {"name": "partial_auc"}),
        ("GAP", {"name": "gap"}),
        ("Macro F1", {"name": "macro_f1"}),
        ("micro-F1", {"name": "f1", "average": "micro"}),
        ("Log Loss", {"name": "log_loss"}),
        ("MAP@5", {"name": "map_at_k", "k": 5}),
        ("Top-5 accuracy", {"name": "top_k_accuracy", "k": 5}),
        ('log_loss class_weights={"a":2}', {"name": "log_loss", "class_weights": {"a": 2}}),
        ("something else", {"name": "something else"}),
    ],
)
def test_a_metric_is_read_from_its_name_options_or_common_name(text: str, spec: dict[str, Any]) -> None:
    assert read_metric(text) == spec


@pytest.mark.parametrize(("text", "first"), [("F2", "fbeta beta=2"), ("mean F1", "f1"), ("mAP", "map_at_k")])
def test_a_name_that_means_different_metrics_is_an_error_with_all_of_them(text: str, first: str) -> None:
    with pytest.raises(ConfigError, match="C20") as caught:
        read_metric(text)
    assert all(case.detail.startswith("--metric '") for case in caught.value.cases)
    assert caught.value.cases[0].detail.startswith(f"--metric '{first}")
    for case in caught.value.cases:
        Metric.open(read_metric(case.detail.removeprefix("--metric ").strip("'")))


def test_each_common_name_is_a_metric_that_opens() -> None:
    for spec in [*NAMES.values(), *(spec for specs in SEVERAL.values() for spec in specs.values())]:
        Metric.open(dict(spec))


def test_the_reason_names_the_common_name_and_options_are_checked_against_the_classes(tmp_path: Path) -> None:
    make(tmp_path, {"train.csv": csv("id,label", *(f"{n},{n % 3}" for n in range(9)))})
    data = Data(train="train.csv", sample=None, on_unreadable_train="skip")
    assert suggest(tmp_path, data, "QWK") == (QWK, "'QWK' is this metric in kit")
    assert suggest(tmp_path, data, "f1") == ({"name": "f1"}, "as asked for")
    with pytest.raises(ConfigError, match="C47"):
        suggest(tmp_path, data, "f1 average=binary")
    (tmp_path / "train.csv").write_text(csv("id,label", "1,mild", "2,none"))
    with pytest.raises(ConfigError, match="needs an order of the grades"):
        suggest(tmp_path, data, "QWK")
