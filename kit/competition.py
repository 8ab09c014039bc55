"""The competition's metric and its decision rule, as every stage uses them.

The rule is in one place of config.json, `decision`. So cross-validation scores the labels that the submission holds.
"""

from __future__ import annotations

import warnings

import numpy as np

from kit.config import DecisionRule
from kit.decision import Decision
from kit.errors import ConfigError, KitWarning
from kit.kinds import Metric
from kit.table import Table
from kit.workspace import Workspace


def decision_of(workspace: Workspace, table: Table) -> Decision:
    """The decision rule for the labels of a training table.

    If `decision.min_labels` is null, a row may have no label if a training row of the competition has none, else it
    has at least one. Raises ConfigError C46 if `min_labels` is more than there are classes. Warns (W45) if the config
    sets a rule and rows have one label each.
    """
    asked = workspace.competition.decision
    if not table.is_multi_label:
        if asked != DecisionRule():
            text = (
                "W45 decision has no effect: each row of the training table has one label, the most probable"
            )
            warnings.warn(KitWarning(text), stacklevel=3)
        return Decision()
    if asked.min_labels is not None and asked.min_labels > len(table.classes):
        raise ConfigError(
            f"decision.min_labels is {asked.min_labels}, the table has {len(table.classes)} classes",
            code="C46", hint=f"decision.min_labels={len(table.classes)} or less",
        )  # fmt: skip
    return Decision(
        asked.threshold, default_min_labels(table) if asked.min_labels is None else asked.min_labels
    )


def default_min_labels(table: Table) -> int:
    """0 if a training row of the competition has no label, else 1."""
    return 0 if rows_without_label(table) else 1


def rows_without_label(table: Table) -> int:
    """How many training rows of the competition have no label; rows of other sources do not count."""
    return int((np.asarray(table.true_labels())[table.own].sum(axis=1) == 0).sum())


def explained_decision(workspace: Workspace, table: Table) -> str:
    """The rule in words, with the reason for `min_labels`; empty if rows have one label each."""
    if not table.is_multi_label:
        return ""
    rule, empty = decision_of(workspace, table), rows_without_label(table)
    if workspace.competition.decision.min_labels is not None:
        why = "as decision in config.json or on the command line says"
    elif empty:
        why = f"{empty} of {int(table.own.sum())} training rows have no label; decision.min_labels changes it"
    else:
        why = "every training row has a label; decision.min_labels changes it"
    return f"{rule} ({why})"


def metric_of(workspace: Workspace, table: Table) -> Metric:
    """The competition's metric, with its decision rule. Raises PluginError, ConfigError."""
    metric = Metric.open(workspace.competition.metric, workspace.root, where="metric")
    return metric.with_known(decision=decision_of(workspace, table))


def check_scoring(workspace: Workspace) -> None:
    """Raises ConfigError C45 if the metric or the decision rule differ from those of config.json.

    `kit train` calls it: `kit tta` and `kit blend` read config.json, and would score the run in another way.
    """
    kept = Workspace.open(workspace.root).competition
    asked = workspace.competition
    wrong = [name for name in ("metric", "decision") if getattr(asked, name) != getattr(kept, name)]
    if not wrong:
        return
    name = wrong[0]
    was, now = (getattr(one, name) for one in (kept, asked))
    raise ConfigError(
        f"{_assignment(name, now)} is given to kit train, config.json has {_assignment(name, was)}: kit tta, kit blend "
        "and kit board would score the run by config.json's",
        code="C45",
        hint=f"change {name} in config.json, or leave it out: no weight depends on it, "
        f"and kit blend takes {_assignment(name, now)} for one submission",
    )


def _assignment(name: str, value: object) -> str:
    """An override that works, such as `metric=auc` or `decision.threshold=0.4`."""
    if isinstance(value, DecisionRule):
        changed = value.model_dump(exclude_defaults=True) or {"threshold": value.threshold}
        return " ".join(f"{name}.{key}={number}" for key, number in changed.items())
    assert isinstance(value, dict)
    options = [f"{name}.{key}={option}" for key, option in value.items() if key != "name"]
    return " ".join([f"{name}={value['name']}", *options])
