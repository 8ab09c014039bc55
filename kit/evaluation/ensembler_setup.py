"""Recipes: what a competition tells an ensembler or a scorer before it is fitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from kit.config.workspace import Workspace
from kit.data.table import Table
from kit.evaluation.competition import metric_of
from kit.kinds import KINDS, Ensembler, Metric, Scorer
from kit.kinds.decision import Decision
from kit.kinds.label_kinds import check_takes

R = TypeVar("R", Ensembler, Scorer)


def open_ensembler(workspace: Workspace, spec: Any, table: Table) -> tuple[Ensembler, Metric]:
    """An ensembler and the competition's metric, with one another, the decision rule and the table's kind of labels.

    Raises PluginError, ConfigError; C17 for labels that one of them does not take.
    """
    metric = metric_of(workspace, table)
    recipe = for_metric(Ensembler.open(spec, workspace.root, where="ensembler"), metric)
    check_takes((recipe, metric), table.label_kind, workspace.root)
    return for_labels(recipe, table.is_multi_label, metric.decision), metric


def for_metric(recipe: R, metric: Metric) -> R:
    """The recipe with the competition's metric in each option `metric` that names none, nested recipes included."""
    lacks = "metric" in recipe.options() and getattr(recipe, "metric", metric) is None
    return _with_changes(recipe, {"metric": metric} if lacks else {}, lambda one: for_metric(one, metric))


def for_labels(recipe: Ensembler, multi_label: bool, decision: Decision | None = None) -> Ensembler:
    """The recipe that knows whether a row may have several labels and the decision rule, nested recipes included."""
    return recipe.with_known(multi_label=multi_label, decision=decision or Decision())


def _with_changes(recipe: R, own: dict[str, Any], nested: Callable[[Any], Any]) -> R:
    """The recipe with fields of its own changed, and every recipe in its options."""
    updates, kind = dict(own), KINDS[recipe.kind]
    for name in recipe.options():
        value = getattr(recipe, name)
        if isinstance(value, kind):
            updates[name] = nested(value)
        elif isinstance(value, tuple) and any(isinstance(one, kind) for one in value):
            updates[name] = tuple(nested(one) if isinstance(one, kind) else one for one in value)
    return recipe.model_copy(update=updates) if updates else recipe
