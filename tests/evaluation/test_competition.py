"""The competition's metric reaches every recipe that asks for one."""

from __future__ import annotations

from kit.evaluation.competition import for_metric
from kit.kinds import Ensembler, Metric


def test_an_empty_metric_is_the_competitions_and_a_given_one_stays() -> None:
    metric = Metric.open("auc")
    spec = for_metric(Ensembler.open("hill_climb"), metric).spec()
    assert spec["metric"] == {"name": "auc"}
    spec = for_metric(Ensembler.open({"name": "hill_climb", "metric": "accuracy"}), metric).spec()
    assert spec["metric"] == {"name": "accuracy"}


def test_nested_recipes_get_it_too() -> None:
    recipe = Ensembler.open({"name": "class_factors", "base": {"name": "temperature", "base": "hill_climb"}})
    spec = for_metric(recipe, Metric.open("macro_f1")).spec()
    assert spec["metric"] == spec["base"]["base"]["metric"] == {"name": "macro_f1", "absent": "zero"}


def test_a_recipe_without_a_metric_is_left_as_it_is() -> None:
    recipe = Ensembler.open("mean")
    assert for_metric(recipe, Metric.open("auc")) is recipe
