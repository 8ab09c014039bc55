"""Recipes: what a competition tells an ensembler before it is fitted."""

from __future__ import annotations

from typing import Any

from kit.kinds import Ensembler, Metric


def for_metric(recipe: Ensembler, metric: Metric) -> Ensembler:
    """The recipe with the competition's metric in each option `metric` that names none, nested recipes included."""
    updates: dict[str, Any] = {}
    for name in recipe.options():
        value = getattr(recipe, name)
        if name == "metric" and value is None:
            updates[name] = metric
        elif isinstance(value, Ensembler):
            updates[name] = for_metric(value, metric)
        elif isinstance(value, tuple) and any(isinstance(one, Ensembler) for one in value):
            updates[name] = tuple(
                for_metric(one, metric) if isinstance(one, Ensembler) else one for one in value
            )
    return recipe.model_copy(update=updates) if updates else recipe
