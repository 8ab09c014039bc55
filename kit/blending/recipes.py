"""Recipes: what a competition tells an ensembler before it is fitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kit.kinds import Ensembler, Metric


def for_metric(recipe: Ensembler, metric: Metric) -> Ensembler:
    """The recipe with the competition's metric in each option `metric` that names none, nested recipes included."""
    lacks = "metric" in recipe.options() and getattr(recipe, "metric", metric) is None
    return _changed(recipe, {"metric": metric} if lacks else {}, lambda one: for_metric(one, metric))


def for_labels(recipe: Ensembler, multi_label: bool) -> Ensembler:
    """The recipe that knows whether a row may have several labels, nested recipes included."""
    return _changed(recipe, {"multi_label": multi_label}, lambda one: for_labels(one, multi_label))


def _changed(recipe: Ensembler, own: dict[str, Any], nested: Callable[[Ensembler], Ensembler]) -> Ensembler:
    """The recipe with fields of its own changed, and every recipe in its options."""
    updates = dict(own)
    for name in recipe.options():
        value = getattr(recipe, name)
        if isinstance(value, Ensembler):
            updates[name] = nested(value)
        elif isinstance(value, tuple) and any(isinstance(one, Ensembler) for one in value):
            updates[name] = tuple(nested(one) if isinstance(one, Ensembler) else one for one in value)
    return recipe.model_copy(update=updates) if updates else recipe
